"use client";
import { skipToken, useQueryClient } from "@tanstack/react-query";
import { useSubscription } from "@trpc/tanstack-react-query";
import type { ReactNode } from "react";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { z } from "zod";
import type { Notice } from "../server/routers/changes.ts";
import { toSignIn, useTRPC } from "./trpc.tsx";

type Listener = (notice: Notice) => void;

interface Live {
	want: (topics: readonly string[], listener: Listener | undefined) => () => void;
}

const LiveContext = createContext<Live | null>(null);

/**
 * One subscription for the page that is shown: whatever its parts want to hear of. A change makes the questions of its
 * topic be asked again, at most one round at a time; data that travels with a notice goes to the listeners.
 */
export function LiveProvider({ signedIn, children }: { signedIn: boolean; children: ReactNode }) {
	const trpc = useTRPC();
	const wanted = useRef(new Map<symbol, { topics: readonly string[]; listener: Listener | undefined }>());
	const [topics, setTopics] = useState("");
	const refresh = useRefresh();

	const want = useCallback((of: readonly string[], listener: Listener | undefined) => {
		const key = Symbol();
		const publish = () =>
			setTopics(
				[...new Set([...wanted.current.values()].flatMap((one) => one.topics))].filter(isTopic).sort().join(" "),
			);
		wanted.current.set(key, { topics: of, listener });
		publish();
		return () => {
			wanted.current.delete(key);
			publish();
		};
	}, []);

	useSubscription(
		trpc.changes.subscriptionOptions(topics && signedIn ? { topics: topics.split(" ") } : skipToken, {
			/** What changed between a question's answer and this moment was not heard: ask once more. */
			onStarted: () => refresh(topics.split(" ")),
			onError: toSignIn,
			onData: ({ data: notice }) => {
				if (notice.type === "changed") refresh([notice.topic]);
				else if (notice.type === "missed") refresh(topics.split(" "));
				for (const { listener } of wanted.current.values()) listener?.(notice);
			},
		}),
	);
	return <LiveContext value={useMemo(() => ({ want }), [want])}>{children}</LiveContext>;
}

/** A page may be asked for with an id that is none; its topic would be refused together with all the others. */
function isTopic(text: string): boolean {
	const [, id] = text.split(":");
	return id === undefined || z.uuid().safeParse(id).success;
}

/** Keeps what a part of the page shows up to date while it is shown. `listener` gets notices that carry data. */
export function useLive(topics: readonly string[], listener?: Listener): void {
	const live = useContext(LiveContext);
	const latest = useRef(listener);
	useEffect(() => {
		latest.current = listener;
	});
	const key = topics.join(" ");
	useEffect(() => live?.want(key.split(" "), (notice) => latest.current?.(notice)), [live, key]);
}

/** Asks the questions of topics again; while one round is under way the next gathers. */
function useRefresh(): (topics: readonly string[]) => void {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const stale = useRef(new Set<string>());
	const busy = useRef(false);

	return useCallback(
		(topics) => {
			const filtersOf = (topic: string) => {
				const [noun, id = ""] = topic.split(":");
				switch (noun) {
					case "overview":
						return [trpc.overview.pathFilter()];
					case "hosts":
						return [trpc.hosts.list.pathFilter()];
					case "guests":
						return [trpc.guests.list.pathFilter()];
					case "migrations":
						return [trpc.migrations.list.pathFilter()];
					case "evacuations":
						return [trpc.evacuations.list.pathFilter()];
					case "health":
						return [trpc.health.pathFilter()];
					case "events":
						return [trpc.events.pathFilter()];
					case "repositories":
						return [trpc.repositories.list.pathFilter()];
					case "jobs":
						return [trpc.jobs.list.pathFilter()];
					case "runs":
						return [trpc.runs.list.pathFilter()];
					case "points":
						return [trpc.points.list.pathFilter(), trpc.points.calendar.pathFilter()];
					case "protection":
						return [trpc.protection.pathFilter()];
					case "restores":
						return [trpc.restores.list.pathFilter()];
					case "repository":
						return [trpc.repositories.get.queryFilter({ id })];
					case "job":
						return [trpc.jobs.get.queryFilter({ id })];
					case "run":
						return [trpc.runs.get.queryFilter({ pointId: id })];
					case "point":
						return [trpc.points.get.queryFilter({ id })];
					case "restore":
						return [trpc.restores.get.queryFilter({ id })];
					case "host":
						return [trpc.hosts.get.queryFilter({ hostId: id })];
					case "guest":
						return [trpc.guests.get.queryFilter({ guestId: id })];
					case "migration":
						return [trpc.migrations.get.queryFilter({ migrationId: id })];
					case "evacuation":
						return [trpc.evacuations.get.queryFilter({ evacuationId: id })];
					default:
						return [];
				}
			};
			const run = async () => {
				busy.current = true;
				while (stale.current.size > 0) {
					const round = [...stale.current];
					stale.current.clear();
					const pause = new Promise((resolve) => setTimeout(resolve, 300));
					await Promise.all(round.flatMap(filtersOf).map((filter) => queryClient.invalidateQueries(filter)));
					await pause;
				}
				busy.current = false;
			};
			for (const topic of topics) stale.current.add(topic);
			if (!busy.current) void run();
		},
		[queryClient, trpc],
	);
}
