/** The role that an operator names for one command, in place of the one in the configuration. */

export interface AdminOptions {
  readonly adminUser?: string
  readonly adminPassword?: string
}

/** `url` with the role of the options, or as it is when they name none. */
export function asAdmin(url: string, { adminUser, adminPassword = '' }: AdminOptions): string {
  if (adminUser === undefined) return url
  const admin = new URL(url)
  admin.username = encodeURIComponent(adminUser)
  admin.password = encodeURIComponent(adminPassword)
  return admin.href
}
