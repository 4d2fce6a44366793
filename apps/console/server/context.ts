import type { Console } from "./console.ts";
import type { Me } from "./views.ts";

export interface Session {
	id: string;
	user: Me;
}

/** What every procedure gets. Built per HTTP request, and once per WebSocket. */
export interface Context {
	console: Console;
	/** A WebSocket carries subscriptions only: changes go through the doors that check each request. */
	transport: "http" | "webSocket";
	/** Reads the session behind the request's cookie; null when there is none or it has ended. */
	session(): Promise<Session | null>;
	/** Address of the browser, for throttling and the event log. */
	clientAddress: string;
	/** Headers of the request, for better-auth. */
	headers: Headers;
	/** Adds a Set-Cookie header to the answer; does nothing on a WebSocket. */
	setCookie(cookie: string): void;
}
