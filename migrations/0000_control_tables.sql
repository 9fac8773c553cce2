CREATE SCHEMA IF NOT EXISTS "afterimage";
--> statement-breakpoint
CREATE TYPE "afterimage"."operation" AS ENUM('insert', 'update_before', 'update_after', 'delete', 'read', 'truncate');--> statement-breakpoint
CREATE TABLE "afterimage"."dead_letters" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "afterimage"."dead_letters_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"stream_id" uuid NOT NULL,
	"partition" integer NOT NULL,
	"schema_version" integer NOT NULL,
	"ordinal" bigint NOT NULL,
	"position" text NOT NULL,
	"raw" text NOT NULL,
	"sequence_bases" jsonb NOT NULL,
	"sqlstate" text NOT NULL,
	"message" text NOT NULL,
	"state" text DEFAULT 'pending' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"resolved_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "afterimage"."offsets" (
	"stream_id" uuid NOT NULL,
	"partition" integer NOT NULL,
	"position" text DEFAULT '' NOT NULL,
	"checkpoint_gtid" text,
	"file_version" integer,
	"ordinal" bigint DEFAULT 0 NOT NULL,
	"schema_version" integer DEFAULT 0 NOT NULL,
	"batches" bigint DEFAULT 0 NOT NULL,
	"source_time" timestamp with time zone,
	"applied_at" timestamp with time zone,
	CONSTRAINT "offsets_stream_id_partition_pk" PRIMARY KEY("stream_id","partition")
);
--> statement-breakpoint
CREATE TABLE "afterimage"."readers" (
	"source" text PRIMARY KEY NOT NULL,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"instance" text DEFAULT '' NOT NULL,
	"acquired_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "afterimage"."schema_versions" (
	"stream_id" uuid NOT NULL,
	"version" integer NOT NULL,
	"fingerprint" text NOT NULL,
	"fields" jsonb NOT NULL,
	"columns" jsonb NOT NULL,
	"key" jsonb,
	"first_ordinal" bigint NOT NULL,
	"source_gtid" text NOT NULL,
	"file_version" integer NOT NULL,
	"segment" text NOT NULL,
	"steps" jsonb NOT NULL,
	"recreated" boolean DEFAULT false NOT NULL,
	"applied_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "schema_versions_stream_id_version_pk" PRIMARY KEY("stream_id","version")
);
--> statement-breakpoint
CREATE TABLE "afterimage"."streams" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"source" text NOT NULL,
	"database_name" text NOT NULL,
	"table_name" text NOT NULL,
	"partitions" integer DEFAULT 1 NOT NULL,
	"state" text DEFAULT 'active' NOT NULL,
	"state_code" text,
	"state_message" text,
	"state_since" timestamp with time zone DEFAULT now() NOT NULL,
	"reader_state" text DEFAULT 'idle' NOT NULL,
	"reader_code" text,
	"reader_message" text,
	"reader_since" timestamp with time zone DEFAULT now() NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "streams_source_table" UNIQUE("source","database_name","table_name")
);
--> statement-breakpoint
CREATE TABLE "afterimage"."unreliable_columns" (
	"stream_id" uuid NOT NULL,
	"column_name" text NOT NULL,
	"reason" text NOT NULL,
	"values" bigint DEFAULT 0 NOT NULL,
	"first_seen" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "unreliable_columns_stream_id_column_name_pk" PRIMARY KEY("stream_id","column_name")
);
--> statement-breakpoint
ALTER TABLE "afterimage"."dead_letters" ADD CONSTRAINT "dead_letters_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."offsets" ADD CONSTRAINT "offsets_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."schema_versions" ADD CONSTRAINT "schema_versions_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."unreliable_columns" ADD CONSTRAINT "unreliable_columns_stream_id_streams_id_fk" FOREIGN KEY ("stream_id") REFERENCES "afterimage"."streams"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "dead_letters_pending" ON "afterimage"."dead_letters" USING btree ("stream_id","ordinal") WHERE state = 'pending';