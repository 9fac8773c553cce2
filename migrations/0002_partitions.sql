ALTER TABLE "afterimage"."offsets" ADD COLUMN "layout" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "afterimage"."streams" ADD COLUMN "partition_key" jsonb;