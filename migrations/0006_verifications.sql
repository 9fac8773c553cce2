ALTER TYPE "afterimage"."operation" ADD VALUE 'repair_before';--> statement-breakpoint
ALTER TYPE "afterimage"."operation" ADD VALUE 'repair_after';--> statement-breakpoint
CREATE TABLE "afterimage"."verification_runs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone NOT NULL,
	"tables" integer NOT NULL,
	"rows" bigint NOT NULL,
	"differences" bigint NOT NULL,
	"failed" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "afterimage"."verifications" (
	"run_id" uuid NOT NULL,
	"stream_id" uuid NOT NULL,
	"outcome" text NOT NULL,
	"message" text,
	"rows" bigint NOT NULL,
	"missing" bigint NOT NULL,
	"extra" bigint NOT NULL,
	"different" bigint NOT NULL,
	"unsettled" bigint NOT NULL,
	"truncated" boolean NOT NULL,
	"repaired" bigint NOT NULL,
	"columns" jsonb NOT NULL,
	"findings" jsonb NOT NULL,
	"samples" jsonb NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone NOT NULL,
	CONSTRAINT "verifications_run_id_stream_id_pk" PRIMARY KEY("run_id","stream_id")
);
--> statement-breakpoint
ALTER TABLE "afterimage"."verifications" ADD CONSTRAINT "verifications_run_id_verification_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "afterimage"."verification_runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."verifications" ADD CONSTRAINT "verifications_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "verifications_stream" ON "afterimage"."verifications" USING btree ("stream_id","finished_at");