CREATE TABLE "backup_jobs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"spec" jsonb NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL,
	"drill_seen_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"created_by" text NOT NULL,
	"removed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "backup_runs" (
	"point_id" uuid PRIMARY KEY NOT NULL,
	"guest_id" uuid NOT NULL,
	"guest_name" text NOT NULL,
	"repository_id" uuid NOT NULL,
	"job_id" uuid,
	"host_id" uuid,
	"state" text NOT NULL,
	"acknowledged" boolean DEFAULT false NOT NULL,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"attempt" integer NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"not_before" timestamp (3) with time zone NOT NULL,
	"window_ends_at" timestamp (3) with time zone NOT NULL,
	"waits_for" text,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	"report" jsonb,
	"error" jsonb,
	"requested_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "recovery_points" (
	"id" uuid PRIMARY KEY NOT NULL,
	"repository_id" uuid NOT NULL,
	"guest_id" uuid NOT NULL,
	"guest_name" text NOT NULL,
	"job_id" uuid,
	"taken_at" timestamp (3) with time zone NOT NULL,
	"manifest" jsonb NOT NULL,
	"size_bytes" bigint NOT NULL,
	"stored_bytes" bigint NOT NULL,
	"protected_by" text,
	"damage" text,
	"pruned_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "repositories" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"place_text" text NOT NULL,
	"sealed_access" text NOT NULL,
	"sealed_next_key" text,
	"lock_days" integer NOT NULL,
	"key_confirmed_at" timestamp (3) with time zone,
	"scrub_cron" text NOT NULL,
	"scrub_time_zone" text NOT NULL,
	"scrub_seen_at" timestamp (3) with time zone NOT NULL,
	"usage" jsonb,
	"damages" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"created_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "repository_usage" (
	"repository_id" uuid NOT NULL,
	"day" text NOT NULL,
	"usage" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "restores" (
	"id" uuid PRIMARY KEY NOT NULL,
	"mode" text NOT NULL,
	"point_id" uuid NOT NULL,
	"point_taken_at" timestamp (3) with time zone NOT NULL,
	"repository_id" uuid NOT NULL,
	"guest_id" uuid NOT NULL,
	"guest_name" text NOT NULL,
	"target_guest_id" uuid NOT NULL,
	"target_name" text NOT NULL,
	"target_kind" text NOT NULL,
	"host_id" uuid NOT NULL,
	"epoch" bigint NOT NULL,
	"spec" jsonb NOT NULL,
	"volumes" jsonb NOT NULL,
	"check" jsonb,
	"start" boolean NOT NULL,
	"state" text NOT NULL,
	"acknowledged" boolean DEFAULT false NOT NULL,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"report" jsonb,
	"error" jsonb,
	"requested_by" text NOT NULL,
	"job_id" uuid,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "upkeeps" (
	"id" uuid PRIMARY KEY NOT NULL,
	"repository_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"host_id" uuid NOT NULL,
	"state" text NOT NULL,
	"acknowledged" boolean DEFAULT false NOT NULL,
	"report" jsonb,
	"error" jsonb,
	"requested_by" text NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "guests" ADD COLUMN "tags" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD CONSTRAINT "recovery_points_repository_id_repositories_id_fk" FOREIGN KEY ("repository_id") REFERENCES "public"."repositories"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "repository_usage" ADD CONSTRAINT "repository_usage_repository_id_repositories_id_fk" FOREIGN KEY ("repository_id") REFERENCES "public"."repositories"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "upkeeps" ADD CONSTRAINT "upkeeps_repository_id_repositories_id_fk" FOREIGN KEY ("repository_id") REFERENCES "public"."repositories"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "backup_jobs_name" ON "backup_jobs" USING btree ("name") WHERE removed_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "backup_runs_one_per_guest" ON "backup_runs" USING btree ("guest_id") WHERE state in ('running', 'waiting', 'undoing');--> statement-breakpoint
CREATE UNIQUE INDEX "backup_runs_one_queued" ON "backup_runs" USING btree ("guest_id","repository_id","job_id") WHERE state = 'scheduled';--> statement-breakpoint
CREATE INDEX "backup_runs_due_at_index" ON "backup_runs" USING btree ("due_at");--> statement-breakpoint
CREATE INDEX "backup_runs_job_id_due_at_index" ON "backup_runs" USING btree ("job_id","due_at");--> statement-breakpoint
CREATE INDEX "recovery_points_guest_id_taken_at_index" ON "recovery_points" USING btree ("guest_id","taken_at");--> statement-breakpoint
CREATE INDEX "recovery_points_repository_id_index" ON "recovery_points" USING btree ("repository_id");--> statement-breakpoint
CREATE INDEX "recovery_points_taken_at_index" ON "recovery_points" USING btree ("taken_at");--> statement-breakpoint
CREATE UNIQUE INDEX "repositories_name" ON "repositories" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "repository_usage_day" ON "repository_usage" USING btree ("repository_id","day");--> statement-breakpoint
CREATE UNIQUE INDEX "restores_one_per_target" ON "restores" USING btree ("target_guest_id") WHERE ended_at is null;--> statement-breakpoint
CREATE INDEX "restores_started_at_index" ON "restores" USING btree ("started_at");--> statement-breakpoint
CREATE INDEX "restores_point_id_index" ON "restores" USING btree ("point_id");--> statement-breakpoint
CREATE INDEX "restores_guest_id_index" ON "restores" USING btree ("guest_id");--> statement-breakpoint
CREATE UNIQUE INDEX "upkeeps_one_per_kind" ON "upkeeps" USING btree ("repository_id","kind") WHERE ended_at is null;--> statement-breakpoint
CREATE INDEX "upkeeps_repository_id_started_at_index" ON "upkeeps" USING btree ("repository_id","started_at");