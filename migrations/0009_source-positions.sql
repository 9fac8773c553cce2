ALTER TABLE "afterimage"."source_states" ADD COLUMN "position" text;--> statement-breakpoint
ALTER TABLE "afterimage"."source_states" ADD COLUMN "position_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "afterimage"."source_states" ADD COLUMN "passed_at" timestamp with time zone;