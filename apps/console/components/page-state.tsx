"use client";
import type { UseQueryResult } from "@tanstack/react-query";
import Link from "next/link";
import type { ReactNode } from "react";
import { Button } from "../ui/button.tsx";
import { buttonClass } from "../ui/button-class.ts";
import { Empty } from "../ui/empty.tsx";
import { Notice } from "../ui/notice.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { Time } from "../ui/time.tsx";
import { useLinkState } from "./link-state.ts";
import { ProblemNotice, problemOf } from "./problem.tsx";

interface AnswerProps<Data> {
	of: UseQueryResult<Data, unknown>;
	/** Holds the place while the answer is on its way. */
	waiting?: ReactNode;
	/** What is named when there is no such thing, and where the rest of its kind is. */
	noun?: { name: string; href: string; all: string };
	children: (data: Data) => ReactNode;
}

/**
 * What a question came to: its answer, its place while waiting, or the problem. An old answer stays while it is asked again,
 * and when that fails, with a word that it is old; what is gone does not stay.
 */
export function Answer<Data>({ of, waiting, noun, children }: AnswerProps<Data>) {
	const link = useLinkState();
	if (noun && of.error && ["not_found", "invalid"].includes(problemOf(of.error).code)) return <Gone noun={noun} />;
	if (of.data !== undefined) {
		return (
			<>
				{/* While the line is down the frame says so once, for every part of the page. */}
				{of.error && link !== "lost" ? <Outdated of={of} /> : null}
				{children(of.data)}
			</>
		);
	}
	if (of.error) return <ProblemNotice error={of.error} onRetry={() => void of.refetch()} />;
	return (
		<>
			{noun && (
				<>
					<title>{`Loading the ${noun.name} · Sterna`}</title>
					<h1 className="sr-only">Loading the {noun.name}</h1>
				</>
			)}
			{waiting ?? <SkeletonRows count={5} />}
		</>
	);
}

function Gone({ noun }: { noun: NonNullable<AnswerProps<unknown>["noun"]> }) {
	return (
		<>
			<title>Not found · Sterna</title>
			<h1 className="sr-only">Not found</h1>
			<Empty
				title={`There is no such ${noun.name}.`}
				action={
					<Link href={noun.href} className={buttonClass()}>
						{noun.all}
					</Link>
				}
			>
				It may have been deleted, or the link is incomplete.
			</Empty>
		</>
	);
}

function Outdated<Data>({ of }: Pick<AnswerProps<Data>, "of">) {
	const { message, cure } = problemOf(of.error);
	return (
		<Notice
			tone="watch"
			className="mb-[18px]"
			title={
				<>
					What stands here is as of <Time at={of.dataUpdatedAt} />; asking again failed. {message}
				</>
			}
			cure={cure}
		>
			<div className="mt-2">
				<Button small pending={of.isFetching} onClick={() => void of.refetch()}>
					Try again
				</Button>
			</div>
		</Notice>
	);
}
