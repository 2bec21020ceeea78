//! Clock, randomness, tasks and CPU pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::World;
use base::clock::{Civil, Clock};
use base::cpu::CpuPool;
use base::disk::simulated::SimulatedDisk;
use base::random::Random;
use base::task::Tasks;

/// Counts itself when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Lets everything that is ready run.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn simulated_time_moves_with_the_timers() {
    let clock = Clock::simulated();
    let (wall, now) = (clock.wall_ms(), clock.now());
    assert_eq!(Civil::from_ms(wall).to_string(), "2026-01-01T00:00:00.000Z");
    clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!(clock.wall_ms() - wall, 3_600_000);
    assert_eq!(clock.now() - now, Duration::from_secs(3600));

    let other = clock.with_skew_ms(-5_000);
    assert_eq!(other.wall_ms() + 5_000, clock.wall_ms());
    let clone = other.clone();
    clone.set_skew_ms(7_000);
    assert_eq!(other.wall_ms(), clock.wall_ms() + 7_000, "clones share the skew");
    clock.sleep_until(now + Duration::from_secs(7200)).await;
    assert_eq!(clock.wall_ms() - wall, 7_200_000);
}

#[tokio::test(start_paused = true)]
async fn within_gives_up_at_the_limit() {
    let world = World::simulated(1, SimulatedDisk::new(1).process());
    assert_eq!(world.within(Duration::from_secs(5), async { 7 }).await, Some(7));
    let before = world.clock.now();
    assert_eq!(world.within(Duration::from_secs(5), std::future::pending::<u8>()).await, None);
    assert_eq!(world.clock.now() - before, Duration::from_secs(5));
}

#[test]
fn real_clock_is_the_systems() {
    let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(Clock::real().wall_ms().abs_diff(system) < 60_000);
}

#[test]
fn civil_dates() {
    let check = |ms, expected: &str| assert_eq!(Civil::from_ms(ms).to_string(), expected);
    check(0, "1970-01-01T00:00:00.000Z");
    check(951_782_399_999, "2000-02-28T23:59:59.999Z");
    check(951_782_400_000, "2000-02-29T00:00:00.000Z");
    check(951_868_800_000, "2000-03-01T00:00:00.000Z");
    check(1_709_208_000_001, "2024-02-29T12:00:00.001Z");
    check(4_102_444_800_000, "2100-01-01T00:00:00.000Z");
    check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
}

#[test]
fn a_seed_gives_its_stream() {
    let draw = |random: &Random| (random.u64(), random.u128(), random.below(1000), random.chance(0.5));
    let (one, two) = (Random::seeded(7), Random::seeded(7));
    assert_eq!(draw(&one), draw(&two));
    let (fork_of_one, fork_of_two) = (one.fork(), two.fork());
    let _ = one.u64();
    assert_eq!(draw(&fork_of_one), draw(&fork_of_two), "a fork doesn't depend on what others draw");
    assert!(!one.chance(0.0) && one.chance(1.0) && one.chance(2.0));
    assert_ne!(Random::from_system().u128(), Random::from_system().u128());
}

#[tokio::test(start_paused = true)]
async fn kill_ends_tasks_where_they_stand() {
    let tasks = Tasks::simulated();
    let (drops, steps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let spawn = || {
        let (dropped, steps) = (Dropped(drops.clone()), steps.clone());
        tasks.spawn(async move {
            let _dropped = dropped;
            loop {
                steps.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    };
    let held = spawn();
    spawn().detach();
    spawn().detach();
    settle().await;
    assert_eq!(steps.load(Ordering::SeqCst), 3);
    tasks.kill();
    settle().await;
    assert_eq!(drops.load(Ordering::SeqCst), 3, "what the tasks own is dropped");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(steps.load(Ordering::SeqCst), 3, "no task ran on");
    assert!(held.is_finished() && tasks.is_stopping());
    assert_eq!(held.join().await, None);

    let late = spawn();
    assert_eq!(drops.load(Ordering::SeqCst), 4, "a task that is started later doesn't begin");
    settle().await;
    assert_eq!(steps.load(Ordering::SeqCst), 3);
    assert_eq!(late.join().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_task_owns_may_spawn_and_kill() {
    struct Meddler(Tasks);
    impl Drop for Meddler {
        fn drop(&mut self) {
            self.0.spawn(async {}).detach();
            self.0.kill();
        }
    }
    let tasks = Tasks::simulated();
    let meddler = Meddler(tasks.clone());
    tasks
        .spawn(async move {
            let _meddler = meddler;
            std::future::pending::<()>().await;
        })
        .detach();
    settle().await;
    tasks.kill();
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_with_its_handle_unless_detached() {
    let tasks = Tasks::simulated();
    let drops = Arc::new(AtomicUsize::new(0));
    let forever = |dropped: Dropped| async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    };
    let task = tasks.spawn(forever(Dropped(drops.clone())));
    settle().await;
    drop(task);
    settle().await;
    assert_eq!(drops.load(Ordering::SeqCst), 1);

    tasks.spawn(forever(Dropped(drops.clone()))).detach();
    settle().await;
    assert_eq!(drops.load(Ordering::SeqCst), 1);

    let waited = tasks.spawn(forever(Dropped(drops.clone())));
    settle().await;
    assert!(tokio::time::timeout(Duration::from_secs(1), waited.join()).await.is_err());
    settle().await;
    assert_eq!(drops.load(Ordering::SeqCst), 2, "who stops waiting for a task ends it");
    assert_eq!(tasks.spawn(async { 5 }).join().await, Some(5));
}

#[tokio::test]
async fn a_tasks_panic_reaches_who_waits() {
    let tasks = Tasks::real();
    let task = tasks.spawn(async { panic!("broken") });
    let seen = tokio::spawn(task.join()).await.unwrap_err();
    assert_eq!(seen.into_panic().downcast_ref::<&str>(), Some(&"broken"));
}

#[tokio::test]
async fn stopping_wakes_all() {
    let tasks = Tasks::real();
    let watcher = tasks.clone();
    let task = tasks.spawn(async move { watcher.stopping().await });
    assert!(!tasks.is_stopping());
    tasks.stop();
    assert_eq!(task.join().await, Some(()));
    assert_eq!(tasks.spawn(async { 1 }).join().await, Some(1), "a stop is a request: tasks still start");
}

#[tokio::test]
async fn finished_tasks_are_forgotten_and_late_ones_killed() {
    let tasks = Tasks::real();
    for _ in 0..1_000 {
        tasks.spawn(async {}).join().await;
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let dropped = Dropped(drops.clone());
    let task = tasks.spawn(async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    });
    tasks.kill();
    assert_eq!(task.join().await, None);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn blocking_work() {
    let here = std::thread::current().id();
    let thread = || std::thread::current().id();
    assert_eq!(Tasks::simulated().blocking(thread).await, here, "inline in simulations");
    assert_ne!(Tasks::real().blocking(thread).await, here);
    let panicking = tokio::spawn(async { Tasks::real().blocking(|| panic!("broken")).await });
    assert!(panicking.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn cpu_pools() {
    for pool in [CpuPool::inline(), CpuPool::with_threads("test", 2)] {
        assert_eq!(pool.run(|| 7).await, 7);
        let squares = pool.for_each(1_000, |i| i * i);
        assert!(squares.iter().enumerate().all(|(i, square)| *square == i * i), "values come in order");
        assert!(pool.for_each(0, |i| i).is_empty());
        let nested = {
            let inner = pool.clone();
            pool.run(move || inner.for_each(10, |i| i).len()).await
        };
        assert_eq!(nested, 10, "a job may call for_each of its own pool");
        let panicking = pool.clone();
        let seen = tokio::spawn(async move { panicking.run(|| panic!("broken")).await }).await.unwrap_err();
        assert_eq!(seen.into_panic().downcast_ref::<&str>(), Some(&"broken"));
        assert_eq!(pool.run(|| 8).await, 8, "the pool outlives a panic");
    }
    assert_eq!(CpuPool::inline().threads(), 1);
    assert_eq!(CpuPool::with_threads("test", 3).threads(), 3);
    assert_eq!(CpuPool::with_threads("test", 0).threads(), 1);
}

#[tokio::test]
async fn cpu_work_that_nobody_waits_for_isnt_begun() {
    let pool = CpuPool::with_threads("test", 1);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let blocker = tokio::spawn({
        let pool = pool.clone();
        async move { pool.run(move || wait.recv().is_ok()).await }
    });
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = ran.clone();
    let queued = pool.run(move || counter.fetch_add(1, Ordering::SeqCst));
    {
        let mut queued = std::pin::pin!(queued);
        // Polled once, so that it is in the pool's queue behind the blocker.
        assert!(futures::poll!(&mut queued).is_pending());
    }
    go.send(()).unwrap();
    assert!(blocker.await.unwrap());
    pool.run(|| ()).await;
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}
