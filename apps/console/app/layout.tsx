import type { Metadata, Viewport } from "next";
import { cookies } from "next/headers";
import type { ReactNode } from "react";
import { Toaster } from "sonner";
import { ApiProvider } from "../components/trpc.tsx";
import { TooltipProvider } from "../ui/tooltip.tsx";
import "./globals.css";

export const metadata: Metadata = {
	description: "Guests, hosts, and what moves between them.",
};
export const viewport: Viewport = { width: "device-width", initialScale: 1, colorScheme: "light dark" };

export default async function RootLayout({ children }: { children: ReactNode }) {
	const theme = (await cookies()).get("theme")?.value;
	return (
		<html
			lang="en"
			{...(theme === "light" || theme === "dark" ? { "data-theme": theme } : {})}
			suppressHydrationWarning
		>
			<body>
				<ApiProvider>
					<TooltipProvider delay={300}>{children}</TooltipProvider>
				</ApiProvider>
				<Toaster
					position="bottom-right"
					toastOptions={{
						style: { background: "var(--panel)", color: "var(--ink)", border: "1px solid var(--line-strong)" },
						classNames: { description: "text-soft!" },
					}}
				/>
			</body>
		</html>
	);
}
