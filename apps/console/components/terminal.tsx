"use client";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Xterm } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { useEffect, useRef } from "react";

interface TerminalProps {
	guestName: string;
	/** The first frame that is sent, and where to. */
	ticket: { ticket: string; path: string };
	/** Called once with a sentence when the line is closed. */
	onEnd: (why: string) => void;
}

/** A terminal on a guest's serial line. Only bytes travel; the guest's text reaches the page through the terminal alone. */
export function Terminal({ guestName, ticket, onEnd }: TerminalProps) {
	const box = useRef<HTMLDivElement>(null);
	const end = useRef(onEnd);
	useEffect(() => {
		end.current = onEnd;
	});

	useEffect(() => {
		if (!box.current) return;
		const terminal = new Xterm({
			fontFamily: "ui-monospace, 'DejaVu Sans Mono', monospace",
			fontSize: 13,
			convertEol: true,
			scrollback: 5000,
			screenReaderMode: true,
			theme: { background: "#0d1014", foreground: "#e8ecf1", cursor: "#62aef4" },
		});
		const fit = new FitAddon();
		terminal.loadAddon(fit);
		terminal.open(box.current);
		terminal.textarea?.setAttribute("aria-label", `Serial console of ${guestName}`);
		fit.fit();
		const observer = new ResizeObserver(() => fit.fit());
		observer.observe(box.current);

		const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${ticket.path}`);
		socket.binaryType = "arraybuffer";
		const typing = terminal.onData((text) => {
			if (socket.readyState === WebSocket.OPEN) socket.send(new TextEncoder().encode(text));
		});
		socket.onopen = () => {
			socket.send(ticket.ticket);
			terminal.focus();
		};
		socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) =>
			terminal.write(typeof event.data === "string" ? event.data : new Uint8Array(event.data));
		socket.onclose = (event) => end.current(event.reason ? `Closed: ${event.reason}.` : "The line was closed.");

		return () => {
			socket.onclose = null;
			socket.close();
			typing.dispose();
			observer.disconnect();
			terminal.dispose();
		};
	}, [guestName, ticket]);

	return (
		<section aria-label={`Serial console of ${guestName}`} className="overflow-hidden rounded-lg bg-[#0d1014] p-2">
			<div ref={box} className="h-[344px]" />
		</section>
	);
}
