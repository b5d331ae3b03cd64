// Package enginetest is the suite that every engine passes: what engine.Engine
// promises, checked against a model, and what it promises about crashes and full
// disks, checked on file systems that play them.
//
// An engine's test calls Run with a Factory:
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, enginetest.Factory{
//			Open: func(dir string, o enginetest.Options) (engine.Engine, error) {
//				return pebbledb.Open(dir, pebbledb.Options{FS: o.FS, ...})
//			},
//			CustomFS: true,
//			...
//		})
//	}
//
// An engine that keeps its data in a folder of the machine's (Factory.RealFolder) is
// run in processes that are stopped and killed, on a disk of which only what was
// written is kept, and on a small one. A Run that finds itself in such a process
// does nothing but write.
//
// Random tests print their seed; DKV_SEED=n repeats one. Model is the reference:
// a sorted slice that is an engine.Reader, of use to the tests of other packages
// as well. CompareReaders and CompareIterators compare anything with it.
package enginetest
