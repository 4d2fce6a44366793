import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { SternaError } from "@sterna/shared/errors";

/** Base64 as curl's --pinnedpubkey wants it (RFC 7469 §2.4), from the base64url of a join line. */
export function curlPin(pin: string): string {
	return `sha256//${Buffer.from(pin, "base64url").toString("base64")}`;
}

/** An address as it stands in a URL. */
function urlHost(address: string): string {
	return address.includes(":") ? `[${address}]` : address;
}

/** The two lines that an admin may paste: on a server with the agent, and on a bare one. */
export function joinLines(options: { address: string; port: number; pin: string; joinString: string }) {
	const { address, port, pin, joinString } = options;
	const fetch = `curl -fsSk --pinnedpubkey '${curlPin(pin)}' https://${urlHost(address)}:${port}/agent/install.sh`;
	return {
		joinLine: `sterna-agent join ${joinString}`,
		installLine: `${fetch} | sh -s -- ${joinString}`,
	};
}

/**
 * The script of the install line: fetches the agent and the Node that this console runs on, over the pinned key, joins,
 * and starts the agent as a systemd unit. Everything stands in a function, so that half a download does nothing.
 */
export function installScript(options: { address: string; port: number; pin: string }): string {
	const base = `https://${urlHost(options.address)}:${options.port}/agent`;
	return `#!/bin/sh
# Installs the Sterna agent on this server and joins it to its console.
set -eu
main() {
	[ "$(id -u)" = 0 ] || { echo "sterna: run this as root" >&2; exit 1; }
	[ $# -ge 1 ] || { echo "sterna: the join string is missing; copy the whole line" >&2; exit 1; }
	[ "$(uname -m)" = ${machine()} ] || { echo "sterna: this console serves agents for ${machine()} only" >&2; exit 1; }
	command -v systemctl >/dev/null || { echo "sterna: systemd is needed to keep the agent running" >&2; exit 1; }
	home=/usr/local/lib/sterna
	mkdir -p "$home"
	get() { curl -fsSk --pinnedpubkey '${curlPin(options.pin)}' -o "$home/$2.new" "${base}/$1"; mv "$home/$2.new" "$home/$2"; }
	get runtime node
	chmod 755 "$home/node"
	for file in sterna-agent.js stream-worker.js; do get "$file" "$file"; done
	printf '#!/bin/sh\\nexec %s/node %s/sterna-agent.js "$@"\\n' "$home" "$home" >/usr/local/bin/sterna-agent
	chmod 755 /usr/local/bin/sterna-agent
	sterna-agent join "$@"
	cat >/etc/systemd/system/sterna-agent.service <<'UNIT'
[Unit]
Description=Sterna agent
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/local/bin/sterna-agent run
Restart=always
RestartSec=2
# Guests outlive the agent.
KillMode=process
# Disks that hang hold a thread each; the rest of the agent needs some too.
Environment=UV_THREADPOOL_SIZE=16

[Install]
WantedBy=multi-user.target
UNIT
	systemctl daemon-reload
	systemctl enable --now sterna-agent.service
	echo "sterna: this server has joined; it shows up under Hosts"
}
main "$@"
`;
}

/** Sends a file of this machine, named by our own configuration only. @throws {SternaError} `not_found`. */
export async function sendFile(response: ServerResponse, path: string, what: string): Promise<void> {
	const found = await stat(path).catch(() => null);
	if (!found?.isFile()) {
		throw new SternaError("not_found", `this console does not have ${what}`, {
			cure: "build it with pnpm build in apps/agent, or set STERNA_AGENT_DIR",
		});
	}
	response.writeHead(200, { "content-type": "application/octet-stream", "content-length": found.size });
	await pipeline(createReadStream(path), response);
}

/** What `uname -m` says where this console's Node runs. */
function machine(): string {
	return process.arch === "arm64" ? "aarch64" : "x86_64";
}
