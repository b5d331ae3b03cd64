package server

// backupParams are those of backups.
func backupParams() []*param {
	const imm = paramImmutable
	return []*param{
		{name: "backup-dir", kind: kindString, flags: paramProtected, group: groupStorage,
			doc: "Folder in which SAVE and BGSAVE make a backup, each in a new folder named by the time, and where DKV.BACKUP begins with a relative path. Empty: SAVE and BGSAVE only flush the engine. A relative path starts from dir. See docs/backup.md."},
		{name: "restore", kind: kindString, flags: imm, group: groupStorage,
			doc: "Make a data folder, db-folder, of this backup and exit. db-folder must be missing or empty."},
	}
}
