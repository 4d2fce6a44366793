"use client";
import type { GuestFile } from "@sterna/shared/backup";
import { formatBytes } from "@sterna/shared/units";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Download, File, FileQuestion, Folder, Link2 } from "lucide-react";
import type { KeyboardEvent } from "react";
import { Fragment, useRef } from "react";
import { Button } from "../../ui/button.tsx";
import { Panel } from "../../ui/panel.tsx";
import { DayTime } from "../../ui/time.tsx";
import { Answer } from "../page-state.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { crumbsOf, inFolder } from "./folder-path.ts";
import { Patience } from "./patience.tsx";

interface FolderViewProps {
	pointId: string;
	volumeId: string;
	device: string;
	/** Absolute, `/` for the top. */
	folder: string;
	onFolder: (folder: string) => void;
}

const icons = {
	folder: <Folder aria-hidden className="size-4 shrink-0 text-accent" />,
	file: <File aria-hidden className="size-4 shrink-0 text-soft" />,
	link: <Link2 aria-hidden className="size-4 shrink-0 text-soft" />,
	other: <FileQuestion aria-hidden className="size-4 shrink-0 text-faint" />,
};
const kindWord = { folder: "folder", file: "file", link: "link", other: "special file" };

/** One folder of a guest's disk as it was: way up, entries, downloads. Arrow keys go from entry to entry. */
export function FolderView({ pointId, volumeId, device, folder, onFolder }: FolderViewProps) {
	const trpc = useTRPC();
	const body = useRef<HTMLTableSectionElement>(null);
	const place = { id: pointId, volumeId, device };
	const listing = useQuery(
		trpc.points.files.queryOptions({ ...place, folder }, { staleTime: Number.POSITIVE_INFINITY, retry: false }),
	);
	const ticket = useMutation(
		trpc.points.downloadTicket.mutationOptions({
			onSuccess: ({ url }) => location.assign(url),
			onError: (error) => toastProblem("The file cannot be downloaded", error),
		}),
	);
	const onKeyDown = (event: KeyboardEvent) => {
		const entries = [...(body.current?.querySelectorAll<HTMLElement>("[data-entry]") ?? [])];
		const at = entries.findIndex((one) => one.closest("tr")?.contains(document.activeElement));
		const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
		if (to === undefined) return;
		event.preventDefault();
		entries[Math.max(0, Math.min(entries.length - 1, to))]?.focus();
	};
	return (
		<Panel title={<Crumbs folder={folder} onFolder={onFolder} />}>
			<Answer of={listing} waiting={<Patience what="The folder is being read from the repository." />}>
				{({ files, truncated }) => (
					<>
						{truncated && (
							<p className="mb-2 text-sm text-warn">
								The folder has more than {files.length} entries; only these are shown. A file whose path you know can
								still be restored with the whole disk.
							</p>
						)}
						{files.length === 0 ? (
							<p className="text-soft">The folder is empty.</p>
						) : (
							<table className="w-full text-left">
								<caption className="sr-only">Entries of {folder}</caption>
								<thead>
									<tr className="border-b border-line text-sm text-soft">
										<th scope="col" className="py-1.5 font-medium">
											Name
										</th>
										<th scope="col" className="px-3 py-1.5 text-right font-medium">
											Size
										</th>
										<th scope="col" className="px-3 py-1.5 font-medium max-md:hidden">
											Changed
										</th>
										<th scope="col" className="py-1.5">
											<span className="sr-only">Download</span>
										</th>
									</tr>
								</thead>
								<tbody ref={body} onKeyDown={onKeyDown}>
									{files.map((file) => (
										<tr key={file.name} className="border-b border-line last:border-0 hover:bg-sunken/60">
											<td className="py-1">
												<Entry file={file} onOpen={() => onFolder(inFolder(folder, file.name))} />
											</td>
											<td className="px-3 py-1 text-right whitespace-nowrap">
												{file.kind === "file" ? formatBytes(file.sizeBytes) : ""}
											</td>
											<td className="px-3 py-1 whitespace-nowrap max-md:hidden">
												{file.modifiedAt === null ? "–" : <DayTime at={file.modifiedAt} />}
											</td>
											<td className="py-1 text-right">
												{file.kind === "file" && (
													<Button
														small
														kind="quiet"
														aria-label={`Download ${file.name}`}
														pending={ticket.isPending && ticket.variables.path === inFolder(folder, file.name)}
														onClick={() => ticket.mutate({ ...place, path: inFolder(folder, file.name) })}
													>
														<Download aria-hidden className="size-4" />
														<span className="max-sm:hidden">Download</span>
													</Button>
												)}
											</td>
										</tr>
									))}
								</tbody>
							</table>
						)}
					</>
				)}
			</Answer>
		</Panel>
	);
}

function Entry({ file, onOpen }: { file: GuestFile; onOpen: () => void }) {
	const name = (
		<>
			{icons[file.kind]}
			<span className="wrap-anywhere">{file.name}</span>
			{file.kind !== "folder" && file.kind !== "file" && (
				<span className="text-sm text-soft">{kindWord[file.kind]}</span>
			)}
		</>
	);
	return file.kind === "folder" ? (
		<button
			type="button"
			data-entry
			className="inline-flex min-h-8 items-center gap-2 rounded text-left font-medium hover:underline"
			onClick={onOpen}
		>
			{name}
		</button>
	) : (
		<span data-entry tabIndex={-1} className="inline-flex min-h-8 items-center gap-2">
			{name}
		</span>
	);
}

function Crumbs({ folder, onFolder }: { folder: string; onFolder: (folder: string) => void }) {
	const crumbs = crumbsOf(folder);
	return (
		<span className="flex flex-wrap items-center gap-x-1">
			{crumbs.map(({ name, path }, index) => (
				<Fragment key={path}>
					{index > 1 && <span className="text-faint">/</span>}
					{index === crumbs.length - 1 ? (
						<span className="px-1 py-1 text-ink">{name}</span>
					) : (
						<button
							type="button"
							aria-label={path === "/" ? "Top folder" : `Folder ${path}`}
							className="min-h-7 rounded px-1 text-accent hover:underline"
							onClick={() => onFolder(path)}
						>
							{name}
						</button>
					)}
				</Fragment>
			))}
		</span>
	);
}
