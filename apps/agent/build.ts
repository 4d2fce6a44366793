import { chmod } from "node:fs/promises";
import { build } from "esbuild";

/** The agent as one file, and its workers beside it, where the agent looks for them: of streams, and of repositories' blocks. */
await build({
	entryPoints: {
		"sterna-agent": "src/main.ts",
		"stream-worker": "src/streams/stream-worker.ts",
		"codec-worker": "@sterna/repository/codec/worker",
	},
	outdir: "dist",
	bundle: true,
	platform: "node",
	target: "node24",
	format: "esm",
	sourcemap: "linked",
	banner: {
		js: 'import { createRequire as sternaCreateRequire } from "node:module"; const require = sternaCreateRequire(import.meta.url);',
	},
	logLevel: "info",
});
await chmod("dist/sterna-agent.js", 0o755);
