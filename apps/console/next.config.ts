import { join } from "node:path";
import type { NextConfig } from "next";

const repository = join(import.meta.dirname, "../..");

/** `standalone` collects what the pages need to run; `build.ts` puts our own server beside it. */
const config: NextConfig = {
	output: "standalone",
	reactStrictMode: true,
	poweredByHeader: false,
	serverExternalPackages: ["pg", "ws", "pino"],
	transpilePackages: ["@sterna/shared", "@sterna/migration", "@sterna/backup"],
	outputFileTracingRoot: repository,
	turbopack: { root: repository },
};

export default config;
