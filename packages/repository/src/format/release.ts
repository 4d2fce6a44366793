/**
 * Frees memory that a cipher or zstd made for one block, now instead of when it is collected: thousands of such buffers
 * would drive V8 into a full collection every few MiB. Small ones, which share Node's pool, are left.
 */
export function release(bytes: Uint8Array): void {
	const { buffer } = bytes;
	if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
