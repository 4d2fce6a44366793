CREATE TABLE "evacuation_items" (
	"evacuation_id" uuid NOT NULL,
	"guest_id" uuid NOT NULL,
	"guest_name" text NOT NULL,
	"position" integer NOT NULL,
	"state" text NOT NULL,
	"target_host_id" uuid,
	"migration_id" uuid,
	"attempts" integer DEFAULT 0 NOT NULL,
	"tried_host_ids" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"reason" text,
	"cure" text,
	"measured_downtime_ms" real,
	CONSTRAINT "evacuation_items_evacuation_id_guest_id_pk" PRIMARY KEY("evacuation_id","guest_id")
);
--> statement-breakpoint
CREATE TABLE "evacuations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"state" text NOT NULL,
	"reason" text NOT NULL,
	"requested_by" text NOT NULL,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "events" (
	"sequence" bigint PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"kind" text NOT NULL,
	"actor" text NOT NULL,
	"objects" jsonb NOT NULL,
	"sentence" text NOT NULL,
	"why" text,
	"evidence" jsonb,
	"severity" text,
	"previous_hash" text NOT NULL,
	"hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "findings" (
	"id" uuid PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"key" text NOT NULL,
	"severity" text NOT NULL,
	"finding" jsonb NOT NULL,
	"state" text NOT NULL,
	"opened_at" timestamp (3) with time zone NOT NULL,
	"cleared_at" timestamp (3) with time zone,
	"released_at" timestamp (3) with time zone,
	"released_by" text,
	"action" text
);
--> statement-breakpoint
CREATE TABLE "guest_addresses" (
	"mac" text PRIMARY KEY NOT NULL,
	"guest_id" uuid NOT NULL
);
--> statement-breakpoint
CREATE TABLE "guests" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"spec" jsonb NOT NULL,
	"existence" text NOT NULL,
	"owner_host_id" uuid NOT NULL,
	"epoch" bigint NOT NULL,
	"highest_epoch" bigint NOT NULL,
	"permit_migration_id" uuid,
	"permit_target_host_id" uuid,
	"permit_epoch" bigint,
	"granted_bytes" bigint NOT NULL,
	"report" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	"created_by" text NOT NULL,
	CONSTRAINT "guests_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "host_certificates" (
	"serial" text PRIMARY KEY NOT NULL,
	"host_id" uuid NOT NULL,
	"issued_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "hosts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"mode" text DEFAULT 'normal' NOT NULL,
	"revoked_at" timestamp (3) with time zone,
	"quarantined_because" text,
	"last_connection" bigint DEFAULT -1 NOT NULL,
	"facts" jsonb,
	"joined_at" timestamp (3) with time zone NOT NULL,
	"last_heard_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "join_tokens" (
	"selector" text PRIMARY KEY NOT NULL,
	"verifier_hash" text NOT NULL,
	"remark" text DEFAULT '' NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"tries" integer DEFAULT 0 NOT NULL,
	"used_at" timestamp (3) with time zone,
	"used_by_host_id" uuid
);
--> statement-breakpoint
CREATE TABLE "metric_rollups" (
	"object_id" uuid NOT NULL,
	"minute" timestamp (3) with time zone NOT NULL,
	"sample" jsonb NOT NULL,
	CONSTRAINT "metric_rollups_object_id_minute_pk" PRIMARY KEY("object_id","minute")
);
--> statement-breakpoint
CREATE TABLE "migrations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"guest_id" uuid NOT NULL,
	"guest_name" text NOT NULL,
	"source_host_id" uuid NOT NULL,
	"target_host_id" uuid NOT NULL,
	"epoch" bigint NOT NULL,
	"permit" jsonb NOT NULL,
	"permit_expires_at" timestamp (3) with time zone NOT NULL,
	"options" jsonb NOT NULL,
	"acknowledged" boolean DEFAULT false NOT NULL,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"state" text NOT NULL,
	"phase" text NOT NULL,
	"report" jsonb,
	"error" jsonb,
	"requested_by" text NOT NULL,
	"evacuation_id" uuid,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "settings" (
	"key" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "accounts" (
	"id" text PRIMARY KEY NOT NULL,
	"account_id" text NOT NULL,
	"provider_id" text NOT NULL,
	"user_id" text NOT NULL,
	"access_token" text,
	"refresh_token" text,
	"id_token" text,
	"access_token_expires_at" timestamp with time zone,
	"refresh_token_expires_at" timestamp with time zone,
	"scope" text,
	"password" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"token" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ip_address" text,
	"user_agent" text,
	"user_id" text NOT NULL,
	CONSTRAINT "sessions_token_unique" UNIQUE("token")
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"email" text NOT NULL,
	"email_verified" boolean DEFAULT false NOT NULL,
	"image" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"user_name" text,
	"display_user_name" text,
	"role" text DEFAULT 'viewer' NOT NULL,
	CONSTRAINT "users_email_unique" UNIQUE("email"),
	CONSTRAINT "users_user_name_unique" UNIQUE("user_name")
);
--> statement-breakpoint
CREATE TABLE "verifications" (
	"id" text PRIMARY KEY NOT NULL,
	"identifier" text NOT NULL,
	"value" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "evacuation_items" ADD CONSTRAINT "evacuation_items_evacuation_id_evacuations_id_fk" FOREIGN KEY ("evacuation_id") REFERENCES "public"."evacuations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "guest_addresses" ADD CONSTRAINT "guest_addresses_guest_id_guests_id_fk" FOREIGN KEY ("guest_id") REFERENCES "public"."guests"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "guests" ADD CONSTRAINT "guests_owner_host_id_hosts_id_fk" FOREIGN KEY ("owner_host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "evacuations_one_per_host" ON "evacuations" USING btree ("host_id") WHERE ended_at is null;--> statement-breakpoint
CREATE INDEX "evacuations_started_at_index" ON "evacuations" USING btree ("started_at");--> statement-breakpoint
CREATE INDEX "events_objects" ON "events" USING gin ("objects");--> statement-breakpoint
CREATE INDEX "events_kind_index" ON "events" USING btree ("kind");--> statement-breakpoint
CREATE INDEX "events_actor_index" ON "events" USING btree ("actor");--> statement-breakpoint
CREATE UNIQUE INDEX "findings_one_open" ON "findings" USING btree ("host_id","key") WHERE state = 'open';--> statement-breakpoint
CREATE INDEX "findings_opened_at_index" ON "findings" USING btree ("opened_at");--> statement-breakpoint
CREATE INDEX "guests_owner_host_id_index" ON "guests" USING btree ("owner_host_id");--> statement-breakpoint
CREATE INDEX "guests_permit_target_host_id_index" ON "guests" USING btree ("permit_target_host_id");--> statement-breakpoint
CREATE INDEX "host_certificates_host_id_index" ON "host_certificates" USING btree ("host_id");--> statement-breakpoint
CREATE UNIQUE INDEX "hosts_name" ON "hosts" USING btree ("name") WHERE revoked_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "migrations_one_per_guest" ON "migrations" USING btree ("guest_id") WHERE ended_at is null;--> statement-breakpoint
CREATE INDEX "migrations_started_at_index" ON "migrations" USING btree ("started_at");--> statement-breakpoint
CREATE INDEX "migrations_source_host_id_index" ON "migrations" USING btree ("source_host_id");--> statement-breakpoint
CREATE INDEX "migrations_target_host_id_index" ON "migrations" USING btree ("target_host_id");