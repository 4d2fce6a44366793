"use client";
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createTRPCClient, createWSClient, httpBatchLink, splitLink, TRPCClientError, wsLink } from "@trpc/client";
import { createTRPCContext } from "@trpc/tanstack-react-query";
import type { ReactNode } from "react";
import { useEffect, useState } from "react";
import type { AppRouter } from "../server/root.ts";
import { publishLink } from "./link-state.ts";

export const { TRPCProvider, useTRPC, useTRPCClient } = createTRPCContext<AppRouter>();

/** Questions and changes go over HTTP; subscriptions share one WebSocket, opened with the first of them. */
function makeClient() {
	/** A browser waits up to a minute for a silent peer to answer the close; that the line is lost is known at once. */
	class WatchedSocket extends WebSocket {
		override close(code?: number, reason?: string) {
			publishLink("lost");
			super.close(code, reason);
		}
	}
	const socket = createWSClient({
		WebSocket: WatchedSocket,
		url: () => `${location.origin.replace(/^http/, "ws")}/trpc-ws`,
		lazy: { enabled: true, closeMs: 10_000 },
		keepAlive: { enabled: true, intervalMs: 15_000, pongTimeoutMs: 5_000 },
		retryDelayMs: (attempt) => Math.min(500 * 2 ** attempt, 8_000),
		onOpen: () => publishLink("live"),
		onClose: () => publishLink("lost"),
	});
	const client = createTRPCClient<AppRouter>({
		links: [
			splitLink({
				condition: (op) => op.type === "subscription",
				true: wsLink<AppRouter>({ client: socket }),
				false: httpBatchLink({ url: "/api/trpc", maxItems: 20 }),
			}),
		],
	});
	return { client, close: () => socket.close() };
}

/** A session that ended sends the reader to sign in and back; other refusals are shown where they happened. */
export function toSignIn(error: unknown): void {
	if (!(error instanceof TRPCClientError) || error.data?.code !== "UNAUTHORIZED") return;
	if (location.pathname === "/sign-in") return;
	location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function makeQueryClient() {
	return new QueryClient({
		queryCache: new QueryCache({ onError: toSignIn }),
		defaultOptions: {
			queries: {
				staleTime: 5_000,
				retry: (failures, error) => failures < 2 && !(error instanceof TRPCClientError && error.data),
			},
		},
	});
}

export function ApiProvider({ children }: { children: ReactNode }) {
	const [queryClient] = useState(makeQueryClient);
	const [api] = useState(makeClient);
	useEffect(() => {
		const onHide = () => void api.close();
		addEventListener("pagehide", onHide);
		return () => removeEventListener("pagehide", onHide);
	}, [api]);
	return (
		<QueryClientProvider client={queryClient}>
			<TRPCProvider trpcClient={api.client} queryClient={queryClient}>
				{children}
			</TRPCProvider>
		</QueryClientProvider>
	);
}
