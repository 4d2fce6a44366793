import { boolean, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import type { Role } from "../views.ts";

/** The tables that better-auth reads and writes; the names of its properties are its own. */

const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

export const user = pgTable("users", {
	id: text("id").primaryKey(),
	name: text("name").notNull(),
	email: text("email").notNull().unique(),
	emailVerified: boolean("email_verified").notNull().default(false),
	image: text("image"),
	createdAt: moment("created_at").notNull().defaultNow(),
	updatedAt: moment("updated_at").notNull().defaultNow(),
	username: text("user_name").unique(),
	displayUsername: text("display_user_name"),
	role: text("role").$type<Role>().notNull().default("viewer"),
});

export const session = pgTable("sessions", {
	id: text("id").primaryKey(),
	expiresAt: moment("expires_at").notNull(),
	token: text("token").notNull().unique(),
	createdAt: moment("created_at").notNull().defaultNow(),
	updatedAt: moment("updated_at").notNull().defaultNow(),
	ipAddress: text("ip_address"),
	userAgent: text("user_agent"),
	userId: text("user_id")
		.notNull()
		.references(() => user.id, { onDelete: "cascade" }),
});

export const account = pgTable("accounts", {
	id: text("id").primaryKey(),
	accountId: text("account_id").notNull(),
	providerId: text("provider_id").notNull(),
	userId: text("user_id")
		.notNull()
		.references(() => user.id, { onDelete: "cascade" }),
	accessToken: text("access_token"),
	refreshToken: text("refresh_token"),
	idToken: text("id_token"),
	accessTokenExpiresAt: moment("access_token_expires_at"),
	refreshTokenExpiresAt: moment("refresh_token_expires_at"),
	scope: text("scope"),
	password: text("password"),
	createdAt: moment("created_at").notNull().defaultNow(),
	updatedAt: moment("updated_at").notNull().defaultNow(),
});

export const verification = pgTable("verifications", {
	id: text("id").primaryKey(),
	identifier: text("identifier").notNull(),
	value: text("value").notNull(),
	expiresAt: moment("expires_at").notNull(),
	createdAt: moment("created_at").notNull().defaultNow(),
	updatedAt: moment("updated_at").notNull().defaultNow(),
});
