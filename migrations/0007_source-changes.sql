CREATE TABLE "afterimage"."detected_changes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "afterimage"."detected_changes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"stream_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"detail" text NOT NULL,
	"policy" text NOT NULL,
	"state" text DEFAULT 'open' NOT NULL,
	"outcome" text,
	"detected_at" timestamp with time zone DEFAULT now() NOT NULL,
	"done_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "afterimage"."source_states" (
	"stream_id" uuid PRIMARY KEY NOT NULL,
	"knowledge_id" bigint,
	"storage" jsonb,
	"seen_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "afterimage"."detected_changes" ADD CONSTRAINT "detected_changes_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."source_states" ADD CONSTRAINT "source_states_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."source_states" ADD CONSTRAINT "source_states_knowledge_id_table_knowledge_id_fk" FOREIGN KEY ("knowledge_id") REFERENCES "afterimage"."table_knowledge"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "detected_changes_open" ON "afterimage"."detected_changes" USING btree ("stream_id","id") WHERE state = 'open';