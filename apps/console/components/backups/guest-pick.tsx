"use client";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { GuestRef } from "../../server/views.ts";
import { TextField } from "../../ui/field.tsx";
import { RadioCard } from "../../ui/radio-card.tsx";
import { useTRPC } from "../trpc.tsx";

interface GuestPickProps {
	label: string;
	chosen: string;
	/** Offered before all others. */
	first: GuestRef;
	onGuest: (guestId: string) => void;
}

const shown = 6;

/** One guest of all there are: found by a part of its name. */
export function GuestPick({ label, chosen, first, onGuest }: GuestPickProps) {
	const [filter, setFilter] = useState("");
	const guests = useQuery(
		useTRPC().guests.list.queryOptions({ filter, pageSize: shown + 1 }, { placeholderData: keepPreviousData }),
	);
	const others = (guests.data?.rows ?? []).filter(({ id }) => id !== first.id).slice(0, shown);
	return (
		<fieldset>
			<legend className="mb-1 text-sm font-medium">{label}</legend>
			<TextField label="Find by name" value={filter} onValue={setFilter} autoComplete="off" />
			<div className="mt-2 flex flex-col gap-2">
				{[first, ...others].map((guest) => (
					<RadioCard
						key={guest.id}
						name="into"
						checked={chosen === guest.id}
						onChoose={() => onGuest(guest.id)}
						title={guest.name}
					/>
				))}
			</div>
		</fieldset>
	);
}
