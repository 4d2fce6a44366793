import { betterAuth } from "better-auth";
import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { username } from "better-auth/plugins";
import type { Database } from "../db/database.ts";
import * as schema from "../db/schema.ts";

const sessionSeconds = 12 * 3600;

/**
 * better-auth keeps users, passwords and sessions. Its own HTTP routes are not served: signing in and out are procedures,
 * behind the same doors as everything else, and nobody signs themselves up.
 */
export function makeAuth({ db, secret, secureCookies }: { db: Database; secret: string; secureCookies: boolean }) {
	return betterAuth({
		baseURL: "http://localhost",
		secret,
		telemetry: { enabled: false },
		database: drizzleAdapter(db, { provider: "pg", schema }),
		emailAndPassword: { enabled: true, disableSignUp: true, minPasswordLength: 10, maxPasswordLength: 128 },
		user: { additionalFields: { role: { type: "string", required: true, defaultValue: "viewer", input: false } } },
		session: { expiresIn: sessionSeconds, updateAge: sessionSeconds / 4 },
		advanced: {
			cookiePrefix: "sterna",
			useSecureCookies: secureCookies,
			defaultCookieAttributes: { sameSite: "lax", httpOnly: true },
		},
		plugins: [
			username({
				minUsernameLength: 2,
				maxUsernameLength: 32,
				usernameValidator: (name) => /^[a-z0-9._-]+$/.test(name),
			}),
		],
	});
}

export type Auth = ReturnType<typeof makeAuth>;
