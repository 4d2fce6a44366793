"use client";
import { format } from "date-fns";
import { CartesianGrid, Line, LineChart, ReferenceLine, ResponsiveContainer, Tooltip, XAxis, YAxis } from "recharts";

export interface Series<Key extends string> {
	key: Key;
	label: string;
	color: "accent" | "faint" | "watch" | "ok";
	/** A second look beside the colour, so that lines are told apart without it. */
	dashed?: boolean;
}

type Sample<Key extends string> = { at: number } & Record<Key, number | null>;

interface ChartProps<Key extends string> {
	/** What the chart shows, for screen readers and as the caption. */
	label: string;
	samples: readonly Sample<Key>[];
	series: readonly Series<Key>[];
	format: (value: number) => string;
	/** Upper end of the scale when the readings stay below it. */
	atLeast?: number;
	/** A fixed upper end, such as the granted amount. */
	limit?: { value: number; label: string };
	height?: number;
	/** The upper end of the scale for the highest reading; the next power of two without. */
	topOf?: (highest: number) => number;
}

/** Lines over time with their latest values in words; readings that are null leave a gap. */
export function Chart<Key extends string>(props: ChartProps<Key>) {
	const { label, samples, series, limit, height = 132 } = props;
	const latest = samples.at(-1);
	const top =
		limit?.value ??
		(props.topOf ?? roundTop)(
			Math.max(props.atLeast ?? 0, ...samples.flatMap((one) => series.map(({ key }) => one[key] ?? 0))),
		);
	const words = series.map(({ key, label: name }) => {
		const value = latest?.[key];
		return { key, name, value: typeof value === "number" ? props.format(value) : "–" };
	});
	return (
		<figure className="min-w-0">
			<figcaption className="mb-1 flex flex-wrap items-baseline justify-between gap-x-4 text-sm">
				<span className="font-medium">{label}</span>
				<span className="flex flex-wrap gap-x-4 text-soft">
					{words.map(({ key, name, value }) => {
						const line = series.find((one) => one.key === key);
						return (
							<span key={key} className="inline-flex items-center gap-1.5">
								<svg aria-hidden="true" width="16" height="6">
									<line
										x1="0"
										x2="16"
										y1="3"
										y2="3"
										stroke={`var(--${line?.color ?? "faint"})`}
										strokeWidth="2"
										strokeDasharray={line?.dashed ? "4 3" : undefined}
									/>
								</svg>
								{name} <span className="text-ink">{value}</span>
							</span>
						);
					})}
				</span>
			</figcaption>
			<div
				role="img"
				aria-label={`${label}: ${words.map(({ name, value }) => `${name} ${value}`).join(", ")}`}
				style={{ height }}
			>
				{samples.length < 2 ? (
					<div className="flex h-full items-center justify-center rounded-lg bg-sunken text-sm text-soft">
						{samples.length === 0 ? "No readings yet" : "Collecting readings"}
					</div>
				) : (
					<ResponsiveContainer width="100%" height="100%" initialDimension={{ width: 320, height }}>
						<LineChart data={[...samples]} margin={{ top: 8, right: 4, bottom: 0, left: 0 }} accessibilityLayer={false}>
							<CartesianGrid vertical={false} stroke="var(--line)" />
							<XAxis
								dataKey="at"
								type="number"
								scale="time"
								domain={["dataMin", "dataMax"]}
								tickFormatter={(at: number) => format(at, formOf(samples))}
								minTickGap={70}
								tick={{ fill: "var(--faint)", fontSize: 11 }}
								axisLine={false}
								tickLine={false}
								height={20}
							/>
							<YAxis
								width={74}
								domain={[0, top]}
								ticks={[0, top / 2, top]}
								tickFormatter={props.format}
								tick={{ fill: "var(--faint)", fontSize: 11 }}
								axisLine={false}
								tickLine={false}
							/>
							<Tooltip
								isAnimationActive={false}
								labelFormatter={(at) =>
									typeof at === "number" ? format(at, spanOf(samples) > dayMs ? "d MMM HH:mm" : "HH:mm:ss") : ""
								}
								formatter={(value) => (typeof value === "number" ? props.format(value) : "–")}
								contentStyle={{
									background: "var(--panel)",
									border: "1px solid var(--line-strong)",
									borderRadius: 8,
									fontSize: 12,
									padding: "4px 10px",
								}}
								labelStyle={{ color: "var(--soft)" }}
								itemStyle={{ color: "var(--ink)", padding: 0 }}
							/>
							{limit && <ReferenceLine y={limit.value} stroke="var(--line-strong)" strokeDasharray="2 3" />}
							{series.map((line) => (
								<Line
									key={line.key}
									dataKey={line.key}
									name={line.label}
									type="linear"
									dot={false}
									stroke={`var(--${line.color})`}
									strokeWidth={2}
									strokeDasharray={line.dashed ? "5 4" : ""}
									isAnimationActive={false}
									connectNulls={false}
								/>
							))}
						</LineChart>
					</ResponsiveContainer>
				)}
			</div>
		</figure>
	);
}

/** The next power of two: half of it is a round number of bytes, too, and the scale changes seldom while values move. */
function roundTop(highest: number): number {
	return highest > 0 ? 2 ** Math.ceil(Math.log2(highest)) : 1;
}

const dayMs = 86_400_000;

/** Days over days, minutes over an hour, seconds over moments. */
function formOf(samples: readonly { at: number }[]): string {
	const span = spanOf(samples);
	return span > 2 * dayMs ? "d MMM" : span > dayMs ? "d MMM HH:mm" : span > 300_000 ? "HH:mm" : "HH:mm:ss";
}

function spanOf(samples: readonly { at: number }[]): number {
	return (samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0);
}
