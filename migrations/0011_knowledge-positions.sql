ALTER TABLE "afterimage"."table_knowledge" ADD COLUMN "first_position" text;--> statement-breakpoint
ALTER TABLE "afterimage"."table_knowledge" ADD COLUMN "last_position" text;--> statement-breakpoint
ALTER TABLE "afterimage"."table_knowledge" ADD COLUMN "defined_at" timestamp with time zone;