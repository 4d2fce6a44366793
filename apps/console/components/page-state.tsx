"use client";
import type { UseQueryResult } from "@tanstack/react-query";
import Link from "next/link";
import type { ReactNode } from "react";
import { buttonClass } from "../ui/button-class.ts";
import { Empty } from "../ui/empty.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { ProblemNotice, problemOf } from "./problem.tsx";

interface AnswerProps<Data> {
	of: UseQueryResult<Data, unknown>;
	/** Holds the place while the answer is on its way. */
	waiting?: ReactNode;
	/** What is named when there is no such thing, and where the rest of its kind is. */
	noun?: { name: string; href: string; all: string };
	children: (data: Data) => ReactNode;
}

/** What a question came to: its answer, its place while waiting, or the problem. Old answers stay while asking again. */
export function Answer<Data>({ of, waiting, noun, children }: AnswerProps<Data>) {
	if (of.data !== undefined) return children(of.data);
	if (of.error) {
		if (noun && ["not_found", "invalid"].includes(problemOf(of.error).code)) {
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
		return <ProblemNotice error={of.error} onRetry={() => void of.refetch()} />;
	}
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
