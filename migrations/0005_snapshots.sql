CREATE TABLE "afterimage"."snapshots" (
	"stream_id" uuid PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"gtid" text,
	"rows" bigint DEFAULT 0 NOT NULL,
	"bytes" bigint DEFAULT 0 NOT NULL,
	"estimated_rows" bigint,
	"written" bigint,
	"removed" bigint,
	"attempt" integer DEFAULT 1 NOT NULL,
	"message" text,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "afterimage"."snapshots" ADD CONSTRAINT "snapshots_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;