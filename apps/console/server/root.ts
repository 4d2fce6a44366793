import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import { changes } from "./routers/changes.ts";
import { demo } from "./routers/demo.ts";
import { evacuations } from "./routers/evacuations.ts";
import { events } from "./routers/events.ts";
import { guests } from "./routers/guests.ts";
import { health } from "./routers/health.ts";
import { hosts } from "./routers/hosts.ts";
import { jobs } from "./routers/jobs.ts";
import { migrations } from "./routers/migrations.ts";
import { overview } from "./routers/overview.ts";
import { points } from "./routers/points.ts";
import { protection } from "./routers/protection.ts";
import { repositories } from "./routers/repositories.ts";
import { restores } from "./routers/restores.ts";
import { runs } from "./routers/runs.ts";
import { search } from "./routers/search.ts";
import { session } from "./routers/session.ts";
import { setup } from "./routers/setup.ts";
import { router } from "./trpc.ts";

/**
 * Everything a browser can ask. Queries and mutations at POST or GET `/api/trpc` (batches of at most 20, mutations by POST
 * with `content-type: application/json`), the `changes` subscription over the WebSocket `/trpc-ws`. Plain JSON: no
 * transformer. Errors carry `data.sterna`: `{ code, message, cure? }`.
 */
export const appRouter = router({
	setup,
	session,
	overview,
	hosts,
	guests,
	migrations,
	evacuations,
	health,
	repositories,
	jobs,
	runs,
	points,
	protection,
	restores,
	events,
	search,
	demo,
	changes,
});

export type AppRouter = typeof appRouter;
export type Inputs = inferRouterInputs<AppRouter>;
export type Outputs = inferRouterOutputs<AppRouter>;
