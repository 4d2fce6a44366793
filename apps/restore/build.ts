import { chmod } from "node:fs/promises";
import { build } from "esbuild";

/** The program as one file, and the thread that opens blocks beside it, where `codec.ts` looks for it. `--out <folder>`. */
const outAt = process.argv.indexOf("--out");
const outdir = (outAt > 0 && process.argv[outAt + 1]) || "dist";

await build({
	entryPoints: { "sterna-restore": "src/main.ts", "codec-worker": "../../packages/repository/src/codec/worker.ts" },
	outdir,
	bundle: true,
	platform: "node",
	target: "node24",
	format: "esm",
	banner: {
		js: 'import { createRequire as sternaCreateRequire } from "node:module"; const require = sternaCreateRequire(import.meta.url);',
	},
	logLevel: "warning",
});
await chmod(`${outdir}/sterna-restore.js`, 0o755);
