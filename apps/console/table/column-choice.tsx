"use client";
import { Menu } from "@base-ui/react/menu";
import { Check, Columns3 } from "lucide-react";
import { buttonClass } from "../ui/button-class.ts";
import type { Column } from "./columns.ts";
import type { TableUrl } from "./url-state.ts";

interface ColumnChoiceProps<Row, Sort extends string> {
	columns: readonly Column<Row>[];
	url: TableUrl<Sort>;
}

/** Which of the optional columns are shown. */
export function ColumnChoice<Row, Sort extends string>({ columns, url }: ColumnChoiceProps<Row, Sort>) {
	const optional = columns.filter((column) => column.optional);
	if (optional.length === 0) return null;
	return (
		<Menu.Root>
			<Menu.Trigger className={buttonClass("quiet", true)}>
				<Columns3 aria-hidden className="size-4" />
				Columns
			</Menu.Trigger>
			<Menu.Portal>
				<Menu.Positioner align="end" sideOffset={4} className="z-50">
					<Menu.Popup className="min-w-44 rounded-lg border border-line-strong bg-panel p-1 shadow-popup outline-none">
						{optional.map((column) => {
							const shown = !url.hidden.includes(column.id);
							const hidden = shown ? [...url.hidden, column.id] : url.hidden.filter((id) => id !== column.id);
							return (
								<Menu.CheckboxItem
									key={column.id}
									checked={shown}
									onCheckedChange={() => url.set({ hide: hidden.join(","), page: url.page })}
									className="flex min-h-8 cursor-default items-center gap-2 rounded-md px-2.5 outline-none data-highlighted:bg-sunken"
								>
									<span className="size-4">
										<Menu.CheckboxItemIndicator>
											<Check aria-hidden className="size-4 text-accent" />
										</Menu.CheckboxItemIndicator>
									</span>
									{column.header}
								</Menu.CheckboxItem>
							);
						})}
					</Menu.Popup>
				</Menu.Positioner>
			</Menu.Portal>
		</Menu.Root>
	);
}
