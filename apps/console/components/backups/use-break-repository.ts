"use client";
import { useMutation, useQuery } from "@tanstack/react-query";
import { toast } from "sonner";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";

/** Demo only: damages a repository behind everybody's back, so that the next scrub finds it. */
export function useBreakRepository() {
	const trpc = useTRPC();
	const state = useQuery(trpc.demo.state.queryOptions(undefined, { staleTime: 60_000 }));
	const breaking = useMutation(
		trpc.demo.breakRepository.mutationOptions({
			onSuccess: ({ message }) => toast.success(message, { description: "A scrub finds it." }),
			onError: (error) => toastProblem("Nothing was damaged", error),
		}),
	);
	return {
		offered: state.data?.active === true,
		isPending: breaking.isPending,
		damage: (id: string) => breaking.mutate({ id }),
	};
}
