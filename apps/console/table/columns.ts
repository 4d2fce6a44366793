import {
	columnVisibilityFeature,
	createColumnHelper,
	type RowData,
	rowSelectionFeature,
	rowSortingFeature,
	tableFeatures,
} from "@tanstack/react-table";
import type { ReactNode } from "react";

/** What our tables do themselves; sorting, filtering and paging of the rows are the server's. */
export const features = tableFeatures({ rowSortingFeature, columnVisibilityFeature, rowSelectionFeature });

export interface Column<Row> {
	id: string;
	header: string;
	cell: (row: Row) => ReactNode;
	/** The server sorts by this column under its id. */
	sortable?: boolean;
	/** Numbers stand at the end. */
	align?: "end";
	/** Left out where the screen is narrow; what matters of it stands under the first column there. */
	wideOnly?: boolean;
	/** The reader may hide it. */
	optional?: boolean;
}

/** Turns our short form into the table's; call it at module scope so that the columns stay the same objects. */
export function defineColumns<Row extends RowData>(columns: readonly Column<Row>[]) {
	const helper = createColumnHelper<typeof features, Row>();
	return {
		columns,
		byId: new Map(columns.map((column) => [column.id, column])),
		definitions: columns.map((column) =>
			helper.display({
				id: column.id,
				header: column.header,
				cell: (context) => column.cell(context.row.original),
				enableHiding: column.optional ?? false,
			}),
		),
	};
}
export type Columns<Row extends RowData> = ReturnType<typeof defineColumns<Row>>;
