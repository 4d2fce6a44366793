"use client";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Command } from "cmdk";
import { Archive, ArrowLeftRight, Boxes, CalendarClock, FileText, Plus, Search, Server } from "lucide-react";
import { useRouter } from "next/navigation";
import { useEffect, useState } from "react";
import type { SearchHit } from "../server/views-overview.ts";
import { problemOf } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

const pages = [
	{ title: "Overview", href: "/", words: "home" },
	{ title: "Guests", href: "/guests", words: "virtual machines" },
	{ title: "Hosts", href: "/hosts", words: "servers" },
	{ title: "Migrations", href: "/migrations", words: "moves" },
	{ title: "Backups", href: "/backups", words: "protection recovery points" },
	{ title: "Backup runs", href: "/backups/runs", words: "history" },
	{ title: "Backup jobs", href: "/backups/jobs", words: "schedules retention" },
	{ title: "Backup repositories", href: "/backups/repositories", words: "storage scrub s3 nfs" },
	{ title: "Restores and drills", href: "/backups/restores", words: "recovery proof" },
	{ title: "Health", href: "/health", words: "findings" },
	{ title: "Events", href: "/events", words: "log history" },
	{ title: "Settings", href: "/settings", words: "theme account sign out" },
];
const actions = [
	{ title: "Create a guest", href: "/guests/new", words: "new virtual machine" },
	{ title: "Join a server", href: "/hosts/join", words: "add host" },
	{ title: "Create a backup job", href: "/backups/jobs/new", words: "new schedule" },
	{ title: "Add a backup repository", href: "/backups/repositories/new", words: "new attach storage" },
];
const icons: Record<SearchHit["type"], typeof Server> = {
	host: Server,
	guest: Boxes,
	migration: ArrowLeftRight,
	job: CalendarClock,
	repository: Archive,
	page: FileText,
};
const item =
	"flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 data-[selected=true]:bg-accent-soft data-[selected=true]:text-accent";

/** Finds any object and any action; Ctrl K opens it anywhere. */
export function Palette() {
	const [open, setOpen] = useState(false);
	const [text, setText] = useState("");
	const router = useRouter();
	const trpc = useTRPC();
	const found = useQuery(
		trpc.search.find.queryOptions(
			{ text: text.trim() },
			{ enabled: open && text.trim().length > 0, placeholderData: keepPreviousData },
		),
	);

	useEffect(() => {
		const onKey = (event: KeyboardEvent) => {
			if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
			event.preventDefault();
			setOpen((before) => !before);
		};
		document.addEventListener("keydown", onKey);
		return () => document.removeEventListener("keydown", onKey);
	}, []);

	const go = (href: string) => {
		setOpen(false);
		setText("");
		router.push(href);
	};
	const matching = (words: string) => words.toLowerCase().includes(text.trim().toLowerCase());
	const shownPages = pages.filter((page) => matching(`${page.title} ${page.words}`));
	const shownActions = actions.filter((action) => matching(`${action.title} ${action.words}`));
	const hits = text.trim() ? (found.data?.hits ?? []).filter((hit) => hit.type !== "page") : [];

	return (
		<>
			<button
				type="button"
				onClick={() => setOpen(true)}
				className="flex min-h-9 min-w-0 max-w-[430px] flex-1 items-center justify-between gap-2 rounded-lg border border-line-strong bg-panel px-3 text-left text-faint hover:text-soft"
			>
				<span className="truncate">Find a guest, host, address, or action</span>
				<kbd className="shrink-0 rounded border border-line px-1.5 font-mono text-[0.75rem] max-sm:hidden">Ctrl K</kbd>
			</button>
			<Command.Dialog
				open={open}
				onOpenChange={setOpen}
				label="Find a guest, host, address, or action"
				shouldFilter={false}
				loop
				overlayClassName="fixed inset-0 z-40 bg-[rgb(8_12_16/0.45)]"
				contentClassName="fixed inset-x-3 top-[10dvh] z-40 mx-auto max-w-[560px] overflow-hidden rounded-xl border border-line-strong bg-panel shadow-popup"
			>
				<div className="flex items-center gap-2.5 border-b border-line px-4">
					<Search aria-hidden className="size-4 text-faint" />
					<Command.Input
						value={text}
						onValueChange={setText}
						placeholder="Name, address, or what to do"
						className="min-h-11 w-full bg-transparent outline-none"
					/>
				</div>
				<Command.List className="max-h-[min(26rem,60dvh)] overflow-y-auto p-1.5 [&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-sm [&_[cmdk-group-heading]]:text-soft">
					<Command.Empty className="px-2.5 py-4 text-soft">
						{found.isFetching
							? "Looking…"
							: found.error
								? problemOf(found.error).message
								: "Nothing has this name or address."}
					</Command.Empty>
					{hits.length > 0 && (
						<Command.Group heading="Found">
							{hits.map((hit) => {
								const Icon = icons[hit.type];
								return (
									<Command.Item
										key={`${hit.type}:${hit.id}`}
										value={`${hit.type}:${hit.id}`}
										className={item}
										onSelect={() => go(hit.href)}
									>
										<Icon aria-hidden className="size-4 shrink-0 text-soft" />
										<span className="truncate">{hit.title}</span>
										<span className="ml-auto truncate text-sm text-soft">{hit.detail}</span>
									</Command.Item>
								);
							})}
						</Command.Group>
					)}
					{shownActions.length > 0 && (
						<Command.Group heading="Actions">
							{shownActions.map((action) => (
								<Command.Item key={action.href} value={action.href} className={item} onSelect={() => go(action.href)}>
									<Plus aria-hidden className="size-4 text-soft" />
									{action.title}
								</Command.Item>
							))}
						</Command.Group>
					)}
					{shownPages.length > 0 && (
						<Command.Group heading="Pages">
							{shownPages.map((page) => (
								<Command.Item key={page.href} value={page.href} className={item} onSelect={() => go(page.href)}>
									<FileText aria-hidden className="size-4 text-soft" />
									{page.title}
								</Command.Item>
							))}
						</Command.Group>
					)}
				</Command.List>
			</Command.Dialog>
		</>
	);
}
