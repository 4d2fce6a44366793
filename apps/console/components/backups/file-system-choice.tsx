"use client";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { Field } from "../../ui/field.tsx";
import { Select } from "../../ui/select.tsx";
import { ProblemNotice } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { Patience } from "./patience.tsx";

interface FileSystemChoiceProps {
	pointId: string;
	volumeId: string;
	device: string | null;
	onDevice: (device: string) => void;
}

/** The file systems inside a disk; a single one is taken at once. */
export function FileSystemChoice({ pointId, volumeId, device, onDevice }: FileSystemChoiceProps) {
	const found = useQuery(
		useTRPC().points.fileSystems.queryOptions(
			{ id: pointId, volumeId },
			{ staleTime: Number.POSITIVE_INFINITY, retry: false },
		),
	);
	const [first] = found.data?.fileSystems ?? [];
	useEffect(() => {
		if (first && device === null) onDevice(first.device);
	}, [first, device, onDevice]);
	if (found.error) {
		return (
			<div className="sm:col-span-2">
				<ProblemNotice error={found.error} onRetry={() => void found.refetch()} />
			</div>
		);
	}
	if (!found.data) {
		return (
			<div className="sm:col-span-2">
				<Patience what="The disk is being opened. The first time takes up to a minute: a small machine starts on the host and looks for file systems." />
			</div>
		);
	}
	if (!first) {
		return (
			<p className="self-end py-2 text-soft">
				There is no file system that can be read: the disk is empty, encrypted, or of a kind that is not known.
			</p>
		);
	}
	return (
		<Field label="File system">
			<Select
				label="File system"
				value={device ?? first.device}
				choices={found.data.fileSystems.map((one) => ({ value: one.device, label: `${one.device}, ${one.type}` }))}
				onValue={onDevice}
			/>
		</Field>
	);
}
