// Package backup is what a backup of a node consists of: a folder with the files of
// every shard's engine and a manifest of them, which is written last.
//
//	nightly/
//	  manifest.json   see Manifest
//	  shards/0/       the engine's files, per shard
//
//	w, err := backup.Create(fs, dir, owner)       // beside dir, under another name
//	... engines make their checkpoints in w.ShardDir(id)
//	err = w.Commit(ctx, manifest)                 // checksums, sync, rename to dir
//	m, err := backup.Verify(ctx, fs, dir)         // all files are as they were
//	err = backup.Copy(ctx, fs, dir, m, id, to)    // the same, of one shard, while copying
//
// Invariant: a folder that has its name is whole. What a crash leaves has another
// name, and is removed by the next Create of the same owner in that place.
//
// The package knows neither engines nor nodes: cluster makes backups and restores
// them, dkvctl verifies them where no server runs.
package backup
