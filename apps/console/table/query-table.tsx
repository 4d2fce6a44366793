"use client";
import { type RowData, useTable } from "@tanstack/react-table";
import { clsx } from "clsx";
import { ArrowDown, ArrowUp, ChevronsUpDown } from "lucide-react";
import type { KeyboardEvent, ReactNode } from "react";
import { useMemo, useRef, useState } from "react";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { ColumnChoice } from "./column-choice.tsx";
import { type Columns, features } from "./columns.ts";
import { FilterInput } from "./filter-input.tsx";
import { ListFrame } from "./list-frame.tsx";
import type { TableUrl } from "./url-state.ts";

export interface QueryTableProps<Row extends RowData, Sort extends string> {
	/** What the rows are, for screen readers: `Guests`. */
	caption: string;
	columns: Columns<Row>;
	url: TableUrl<Sort>;
	rows: readonly Row[] | undefined;
	total: number;
	rowId: (row: Row) => string;
	/** Name of the row, for its checkbox. */
	rowName: (row: Row) => string;
	filterLabel?: string;
	/** Filters beside the name filter. */
	filters?: ReactNode;
	/** What stands over the table while rows are chosen. Rows can be chosen only when this is given. */
	bulk?: (chosen: readonly Row[], clear: () => void) => ReactNode;
	empty: ReactNode;
}

const noRows: never[] = [];

/**
 * One page of rows that the server sorted, filtered and cut. Arrow keys go from row to row, Enter follows the row's
 * link, `/` goes to the filter. Mark the row's link with `data-row-link`.
 */
export function QueryTable<Row extends RowData, Sort extends string>(props: QueryTableProps<Row, Sort>) {
	const { columns, url, rows, rowId, bulk } = props;
	const body = useRef<HTMLTableSectionElement>(null);
	const [rowSelection, setRowSelection] = useState<Record<string, true>>({});
	const columnVisibility = useMemo(() => Object.fromEntries(url.hidden.map((id) => [id, false])), [url.hidden]);
	const sorting = useMemo(() => [{ id: url.sort, desc: url.direction === "descending" }], [url.sort, url.direction]);
	const data = useMemo(() => (rows ? [...rows] : noRows), [rows]);
	const table = useTable({
		features,
		columns: columns.definitions,
		data,
		getRowId: rowId,
		manualSorting: true,
		enableRowSelection: Boolean(bulk),
		state: { rowSelection, columnVisibility, sorting },
		onRowSelectionChange: setRowSelection,
	});
	const chosen = table.getRowModel().rows.filter((row) => row.getIsSelected());
	const headers = table.getHeaderGroups().flatMap((group) => group.headers);

	const focusRow = (index: number) => {
		const links = body.current?.querySelectorAll<HTMLElement>("[data-row-link]");
		links?.item(Math.max(0, Math.min(links.length - 1, index)))?.focus();
	};
	const onKeyDown = (event: KeyboardEvent) => {
		const links = [...(body.current?.querySelectorAll<HTMLElement>("[data-row-link]") ?? [])];
		const at = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
		const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
		if (to === undefined) return;
		event.preventDefault();
		focusRow(to);
	};

	return (
		<ListFrame
			url={url}
			total={props.total}
			toolbar={
				bulk && chosen.length > 0 ? (
					bulk(
						chosen.map((row) => row.original),
						() => setRowSelection({}),
					)
				) : (
					<>
						{props.filterLabel && (
							<FilterInput
								label={props.filterLabel}
								value={url.filter}
								onValue={(filter) => url.set({ filter })}
								onLeaveDown={() => focusRow(0)}
							/>
						)}
						{props.filters}
						<span className="ml-auto max-sm:hidden">
							<ColumnChoice columns={columns.columns} url={url} />
						</span>
					</>
				)
			}
		>
			{rows === undefined ? (
				<div className="p-3">
					<SkeletonRows count={6} height="h-9" />
				</div>
			) : rows.length === 0 ? (
				<div className="px-4 py-3">{props.empty}</div>
			) : (
				<table className="w-full border-collapse text-left">
					<caption className="sr-only">{props.caption}</caption>
					<thead>
						<tr className="border-b border-line text-sm text-soft">
							{bulk && (
								<th scope="col" className="w-10 py-2 pl-4">
									<input
										type="checkbox"
										aria-label="Choose every row of this page"
										className="size-4 accent-accent align-middle"
										checked={table.getIsAllPageRowsSelected()}
										onChange={table.getToggleAllPageRowsSelectedHandler()}
									/>
								</th>
							)}
							{headers.map((header) => {
								const column = columns.byId.get(header.column.id);
								const sorted = column?.id === url.sort ? url.direction : undefined;
								return (
									<th
										key={header.id}
										scope="col"
										aria-sort={sorted}
										className={clsx("px-3 py-2 font-medium whitespace-nowrap first:pl-4", cellClass(column))}
									>
										{column?.sortable ? (
											<SortButton
												label={column.header}
												sorted={sorted}
												onSort={(direction) => url.set({ sort: column.id, direction })}
											/>
										) : (
											column?.header
										)}
									</th>
								);
							})}
						</tr>
					</thead>
					<tbody ref={body} onKeyDown={onKeyDown}>
						{table.getRowModel().rows.map((row) => (
							<tr
								key={row.id}
								className={clsx(
									"border-b border-line last:border-0 hover:bg-sunken/60",
									row.getIsSelected() && "bg-accent-soft",
								)}
							>
								{bulk && (
									<td className="py-2 pl-4">
										<input
											type="checkbox"
											aria-label={`Choose ${props.rowName(row.original)}`}
											className="size-4 accent-accent align-middle"
											checked={row.getIsSelected()}
											onChange={row.getToggleSelectedHandler()}
										/>
									</td>
								)}
								{row.getVisibleCells().map((cell) => (
									<td
										key={cell.id}
										className={clsx("px-3 py-2 align-middle first:pl-4", cellClass(columns.byId.get(cell.column.id)))}
									>
										<table.FlexRender cell={cell} />
									</td>
								))}
							</tr>
						))}
					</tbody>
				</table>
			)}
		</ListFrame>
	);
}

function cellClass(column: { align?: "end"; wideOnly?: boolean } | undefined): string {
	return clsx(column?.align === "end" && "text-right whitespace-nowrap", column?.wideOnly && "max-md:hidden");
}

function SortButton({
	label,
	sorted,
	onSort,
}: {
	label: string;
	sorted: "ascending" | "descending" | undefined;
	onSort: (direction: "ascending" | "descending") => void;
}) {
	const Icon = sorted === "ascending" ? ArrowUp : sorted === "descending" ? ArrowDown : ChevronsUpDown;
	return (
		<button
			type="button"
			className="-mx-1.5 inline-flex min-h-7 items-center gap-1 rounded px-1.5 font-medium hover:text-ink"
			onClick={() => onSort(sorted === "ascending" ? "descending" : "ascending")}
		>
			{label}
			<Icon aria-hidden className={clsx("size-3.5", sorted ? "text-accent" : "text-faint")} />
		</button>
	);
}
