CREATE TABLE "afterimage"."source_waits" (
	"source" text NOT NULL,
	"waiter" text NOT NULL,
	"message" text NOT NULL,
	"since" timestamp with time zone NOT NULL,
	"valid_until" timestamp with time zone NOT NULL,
	CONSTRAINT "source_waits_source_waiter_pk" PRIMARY KEY("source","waiter")
);
