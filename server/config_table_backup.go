package server

import (
	"fmt"
	"time"
)

// backupParams are those of backups.
func backupParams() []*param {
	const imm = paramImmutable
	return []*param{
		{name: "backup-dir", kind: kindString, flags: paramProtected, group: groupStorage,
			doc: "Folder in which SAVE and BGSAVE make a backup, each in a new folder named by the time, and where DKV.BACKUP begins with a relative path. Empty: SAVE and BGSAVE only flush the engine. A relative path starts from dir. See docs/backup.md."},
		{name: "log-archive-dir", kind: kindString, flags: imm, group: groupStorage,
			doc: "Folder that the log is copied to before it is cut, for recovery to a point in time; with restore, where that is read from. Empty: no archive. A relative path starts from dir. See docs/backup.md."},
		{name: "log-archive-interval", kind: kindDuration, def: "1s", min: int64(10 * time.Millisecond), max: int64(time.Hour), flags: imm, group: groupStorage,
			doc: "How often what is new in the log is copied there: what a lost disk may take with it."},
		{name: "log-archive-max-lag", kind: kindMemory, def: fmt.Sprint(1 << 30), min: 1 << 20, flags: imm, group: groupStorage,
			doc: "Bytes of log that wait for an archive that cannot be written. Beyond it the log is cut all the same, and the archive has a gap."},
		{name: "restore", kind: kindString, flags: imm, group: groupStorage,
			doc: "Make a data folder, db-folder, of this backup and exit. db-folder must be missing or empty."},
		{name: "restore-until", kind: kindString, flags: imm, group: groupStorage,
			doc: "With restore: replay the archive of the log upon the backup, up to the last entry not after this time (2026-01-02T15:04:05Z, or Unix milliseconds) or of this number, or as far as it goes (latest)."},
	}
}
