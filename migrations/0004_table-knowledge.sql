CREATE TABLE "afterimage"."table_knowledge" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "afterimage"."table_knowledge_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"source" text NOT NULL,
	"database_name" text NOT NULL,
	"table_name" text NOT NULL,
	"knowledge" jsonb NOT NULL,
	"first_seen" timestamp with time zone NOT NULL,
	"last_seen" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "afterimage"."schema_versions" ADD COLUMN "knowledge_id" bigint;--> statement-breakpoint
ALTER TABLE "afterimage"."streams" ADD COLUMN "knowledge_id" bigint;--> statement-breakpoint
CREATE INDEX "table_knowledge_table" ON "afterimage"."table_knowledge" USING btree ("source","database_name","table_name","id");--> statement-breakpoint
ALTER TABLE "afterimage"."schema_versions" ADD CONSTRAINT "schema_versions_knowledge_id_table_knowledge_id_fk" FOREIGN KEY ("knowledge_id") REFERENCES "afterimage"."table_knowledge"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "afterimage"."streams" ADD CONSTRAINT "streams_knowledge_id_table_knowledge_id_fk" FOREIGN KEY ("knowledge_id") REFERENCES "afterimage"."table_knowledge"("id") ON DELETE no action ON UPDATE no action;