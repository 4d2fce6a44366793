import { createHash, randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { APIError } from "better-auth/api";
import { and, count, eq, gt, inArray, sql } from "drizzle-orm";
import type { Session } from "../context.ts";
import type { Database } from "../db/database.ts";
import { session as sessions, settings, user as users } from "../db/schema.ts";
import type { EventLog } from "../events/log.ts";
import { type Me, Role } from "../views.ts";
import type { Auth } from "./auth.ts";
import { Throttle } from "./throttle.ts";

export interface SignedIn {
	me: Me;
	/** `Set-Cookie` headers for the answer. */
	cookies: string[];
}

const sweepMs = 30_000;
const setupTokenKey = "setupToken";

/** Who may use the console: the first admin, signing in and out, and whose request this is. */
export class People {
	readonly #db: Database;
	readonly #auth: Auth;
	readonly #events: EventLog;
	readonly #throttle = new Throttle();
	#sweptAt = 0;
	readonly #doors = new Map<string, Set<() => void>>();

	constructor({ db, auth, events }: { db: Database; auth: Auth; events: EventLog }) {
		this.#db = db;
		this.#auth = auth;
		this.#events = events;
	}

	async needsAdmin(): Promise<boolean> {
		const [row] = await this.#db.select({ users: count() }).from(users);
		return row?.users === 0;
	}

	/** A fresh one-time token for the first admin; the one before is void. Only its hash is kept. */
	async renewSetupToken(): Promise<string> {
		const token = randomBytes(32).toString("base64url");
		const value = { hash: hashOf(token) };
		await this.#db
			.insert(settings)
			.values({ key: setupTokenKey, value })
			.onConflictDoUpdate({ target: settings.key, set: { value } });
		return token;
	}

	/**
	 * Makes the first admin and signs in. The token is used up by the first that brings it.
	 * @throws {SternaError} `forbidden` for a wrong or used token; `wrong_state` when there is an admin already.
	 */
	async createAdmin(
		admin: { token: string; userName: string; email: string; password: string },
		clientAddress: string,
	): Promise<SignedIn> {
		this.#throttle.check(`setup ${clientAddress}`);
		if (!(await this.needsAdmin())) {
			throw new SternaError("wrong_state", "this console has its first admin already", { cure: "sign in instead" });
		}
		const hash = hashOf(admin.token);
		const taken = await this.#db
			.delete(settings)
			.where(and(eq(settings.key, setupTokenKey), sql`${settings.value}->>'hash' = ${hash}`))
			.returning();
		if (taken.length === 0) {
			this.#throttle.failed(`setup ${clientAddress}`);
			throw new SternaError("forbidden", "this link is not valid any more", {
				cure: "restart the console: it prints a new link",
			});
		}
		try {
			const context = await this.#auth.$context;
			const { userName, email } = admin;
			const created = await context.internalAdapter.createUser(
				{ name: userName, username: userName, email: email.toLowerCase(), role: "admin" },
				{ method: "email-password" },
			);
			await context.internalAdapter.linkAccount({
				userId: created.id,
				providerId: "credential",
				accountId: created.id,
				password: await context.password.hash(admin.password),
			});
		} catch (error) {
			await this.#db.insert(settings).values({ key: setupTokenKey, value: { hash } });
			throw error;
		}
		const signedIn = await this.#signIn(admin.userName, admin.password);
		const { me } = signedIn;
		await this.#events.append({
			kind: "user.created",
			actor: me.name,
			objects: [{ type: "user", id: me.userId, name: me.name }],
			sentence: `${me.name} became the first admin`,
			why: "the one-time link of the first start",
		});
		return signedIn;
	}

	/** `account` is a user name or an email address. @throws {SternaError} `unauthenticated`, the same for both mistakes. */
	async signIn(account: string, password: string, clientAddress: string): Promise<SignedIn> {
		const keys = [`account ${account.toLowerCase()}`, `address ${clientAddress}`];
		this.#throttle.begin(...keys);
		const signedIn = await this.#signIn(account, password);
		this.#throttle.succeeded(...keys);
		return signedIn;
	}

	/** Ends the session: its cookie, and every door that was opened with it. Returns the cookies to clear. */
	async signOut(sessionId: string, headers: Headers): Promise<string[]> {
		const { headers: answer } = await this.#auth.api.signOut({ headers, returnHeaders: true });
		this.closeDoors(sessionId);
		return answer.getSetCookie();
	}

	/** The session that the request's cookie proves; null without. */
	async sessionOf(headers: Headers): Promise<Session | null> {
		const found = await this.#auth.api.getSession({
			headers,
			query: { disableCookieCache: true, disableRefresh: true },
		});
		if (!found) return null;
		return { id: found.session.id, user: meOf(found.user) };
	}

	/** Registers what must be closed when the session ends (a live subscription, a serial console). Returns the way to forget it. */
	onSessionEnd(sessionId: string, close: () => void): () => void {
		const doors = this.#doors.get(sessionId) ?? new Set();
		this.#doors.set(sessionId, doors.add(close));
		return () => {
			doors.delete(close);
			if (doors.size === 0) this.#doors.delete(sessionId);
		};
	}

	closeDoors(sessionId: string): void {
		for (const close of [...(this.#doors.get(sessionId) ?? [])]) close();
	}

	/** Closes what was opened with sessions that have ended meanwhile (too old, or ended elsewhere): every half minute. */
	async sweep(): Promise<void> {
		const now = Date.now();
		if (this.#doors.size === 0 || now - this.#sweptAt < sweepMs) return;
		this.#sweptAt = now;
		const ids = [...this.#doors.keys()];
		const alive = await this.#db
			.select({ id: sessions.id })
			.from(sessions)
			.where(and(inArray(sessions.id, ids), gt(sessions.expiresAt, new Date(now))));
		const kept = new Set(alive.map(({ id }) => id));
		for (const id of ids) if (!kept.has(id)) this.closeDoors(id);
	}

	async #signIn(account: string, password: string): Promise<SignedIn> {
		try {
			const { headers, response } = account.includes("@")
				? await this.#auth.api.signInEmail({ body: { email: account.toLowerCase(), password }, returnHeaders: true })
				: await this.#auth.api.signInUsername({ body: { username: account, password }, returnHeaders: true });
			if (!response) throw wrongPassword();
			const [row] = await this.#db.select().from(users).where(eq(users.id, response.user.id));
			if (!row) throw wrongPassword();
			return { me: meOf(row), cookies: headers.getSetCookie() };
		} catch (error) {
			if (error instanceof APIError) throw wrongPassword();
			throw error;
		}
	}
}

function wrongPassword(): SternaError {
	return new SternaError("unauthenticated", "the account or the password is wrong");
}

function meOf(user: { id: string; name: string; email: string; role?: string | null }): Me {
	return { userId: user.id, name: user.name, email: user.email, role: Role.parse(user.role) };
}

function hashOf(token: string): string {
	return createHash("sha256").update(token).digest("hex");
}
