"use client";
import type { RowData } from "@tanstack/react-table";
import type { ReactNode } from "react";
import { ProblemNotice } from "../components/problem.tsx";
import { Headline } from "../ui/headline.tsx";
import type { Tone } from "../ui/tone.ts";
import { NothingFits, PastTheEnd } from "./nothing-fits.tsx";
import { QueryTable, type QueryTableProps } from "./query-table.tsx";

interface ListPageProps<Row extends RowData, Sort extends string>
	extends Omit<QueryTableProps<Row, Sort>, "caption" | "rows" | "total" | "empty"> {
	/** What is listed: the window's title, the table's name, and the heading where `headline` says nothing more urgent. */
	title: string;
	headline?: { tone: Tone; sentence: string } | null | undefined;
	/** The question that the page answers, as a sentence. */
	lead: string;
	actions?: ReactNode;
	/** Between the heading and the table. */
	children?: ReactNode;
	/** The answer to the list's question, as a query gives it. */
	query: { data: { rows: Row[]; total: number } | undefined; error: unknown; refetch: () => unknown };
	/** When a filter leaves nothing: `No guest fits the filter.` */
	nothingFits: string;
	/** When there is nothing at all: why, and what to do next. */
	empty: ReactNode;
}

/** A page that lists one kind of thing: its heading and actions, then the rows, what went wrong, or what to do first. */
export function ListPage<Row extends RowData, Sort extends string>(props: ListPageProps<Row, Sort>) {
	const { title, headline, lead, actions, children, query, nothingFits, empty, ...table } = props;
	const { url } = table;
	const total = query.data?.total ?? 0;
	const unfilled = url.narrowed ? <NothingFits url={url} title={nothingFits} /> : empty;
	return (
		<>
			<title>{`${title} · Sterna`}</title>
			<Headline tone={headline?.tone ?? "neutral"} title={headline?.sentence ?? title} lead={lead} actions={actions} />
			{children}
			{Boolean(query.error) && (
				<ProblemNotice error={query.error} onRetry={() => void query.refetch()} className="mb-[18px]" />
			)}
			{(query.data || !query.error) && (
				<QueryTable
					{...table}
					caption={title}
					rows={query.data?.rows}
					total={total}
					empty={total > 0 ? <PastTheEnd url={url} /> : unfilled}
				/>
			)}
		</>
	);
}
