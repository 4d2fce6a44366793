"use client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { usePathname, useRouter } from "next/navigation";
import type { ReactNode } from "react";
import { useEffect, useState } from "react";
import { Notice } from "../ui/notice.tsx";
import { Time, useNow } from "../ui/time.tsx";
import { atRisk } from "./backups/protection-headline.ts";
import { useLinkState } from "./link-state.ts";
import { LiveProvider, useLive } from "./live.tsx";
import { useMe } from "./me.tsx";
import { NavColumn, type NavCounts, NavDrawer } from "./nav.tsx";
import { Palette } from "./palette.tsx";
import { useTRPC } from "./trpc.tsx";

/** The frame around every page of a signed-in person. */
export function Shell({ children }: { children: ReactNode }) {
	const me = useMe();
	const link = useLinkState();
	const path = usePathname();
	const router = useRouter();
	const queryClient = useQueryClient();
	const trpc = useTRPC();
	/** A lost line may mean that the session has ended. */
	useEffect(() => {
		if (link === "lost") void queryClient.invalidateQueries(trpc.session.pathFilter());
	}, [link, queryClient, trpc]);
	useEffect(() => {
		if (me === null) router.replace(`/sign-in?next=${encodeURIComponent(path)}`);
	}, [me, path, router]);
	return (
		<LiveProvider signedIn={Boolean(me)}>
			<Frame>{children}</Frame>
		</LiveProvider>
	);
}

function Frame({ children }: { children: ReactNode }) {
	const trpc = useTRPC();
	const link = useLinkState();
	const path = usePathname();
	const overview = useQuery(trpc.overview.get.queryOptions());
	const findings = useQuery(trpc.health.list.queryOptions({ pageSize: 1, state: ["open"] }));
	useLive(["overview", "health"]);
	const figures = overview.data?.figures;
	const counts: NavCounts = {
		guests: figures?.guests.total ?? null,
		hostsInTrouble: figures ? figures.hosts.failing + figures.hosts.degraded : null,
		migrations: figures?.migrationsRunning ?? null,
		guestsAtRisk: figures ? atRisk(figures.protection) : null,
		findings: findings.data?.total ?? null,
	};
	return (
		<div className="flex min-h-dvh">
			<a
				href="#content"
				className="sr-only z-50 rounded-lg bg-panel px-3 py-2 focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
			>
				Go to the content
			</a>
			<NavColumn counts={counts} />
			<div className="flex min-w-0 flex-1 flex-col">
				<header className="flex items-center gap-3 px-3.5 pt-3.5 pb-4 md:px-[26px]">
					<NavDrawer counts={counts} />
					<Palette />
					<LiveSign agents={figures?.hosts.online ?? null} />
				</header>
				<main id="content" key={path} className="w-full max-w-[1320px] flex-1 px-3.5 pb-10 md:px-[26px]">
					{children}
				</main>
				{link === "lost" && <LostNotice />}
			</div>
		</div>
	);
}

const patienceMs = 3000;

/** Stays in sight wherever the reader has scrolled to: what the page shows may not be so any more. */
function LostNotice() {
	const [since] = useState(() => Date.now());
	/** A line that is back within moments is worth no word. */
	if (useNow() - since < patienceMs) return null;
	return (
		<div role="status" className="sticky bottom-3.5 z-30 mx-3.5 mb-3.5 md:mx-[26px]">
			<Notice
				tone="warn"
				className="max-w-[720px] shadow-popup"
				title={
					<>
						The console has not been heard since <Time at={since} />. What stands here is older than that.
					</>
				}
				cure="This page goes on by itself when the console answers again. Guests run on without it."
			/>
		</div>
	);
}

/** Whether what the page shows is of this moment. */
function LiveSign({ agents }: { agents: number | null }) {
	const link = useLinkState();
	const lost = link === "lost";
	return (
		<p role="status" className="ml-auto shrink-0 text-sm text-soft">
			<span
				aria-hidden
				className={`mr-1.5 inline-block size-[7px] rounded-full ${lost ? "bg-bad" : link === "live" ? "bg-ok" : "bg-line-strong"}`}
			/>
			{lost ? "Connecting again" : link === "live" ? "Live" : "Connecting"}
			<span className="max-sm:hidden">
				{!lost && agents !== null && ` · ${agents} ${agents === 1 ? "agent" : "agents"}`}
			</span>
		</p>
	);
}
