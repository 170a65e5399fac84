// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread that writes (see cluster_writer.h). It owns the store; one job at
 * a time, handed over under the lock.
 */
#include "cluster/cluster_writer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include "util/urgent.h"

enum job {
	JOB_NONE,
	JOB_SAVE,
	JOB_DONE,
	JOB_END,
};

struct cluster_writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum job job;
	int result;
	struct node_durable durable;
	struct cluster_store store;
};

static void *run(void *arg)
{
	struct cluster_writer *w = arg;

	/* The node waits for it. */
	urgent_begin();
	pthread_mutex_lock(&w->lock);
	while (w->job != JOB_END) {
		if (w->job != JOB_SAVE) {
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		w->result = cluster_store_save(&w->store, &w->durable);
		pthread_mutex_lock(&w->lock);
		w->job = JOB_DONE;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals are the event loop's. */
static int start_thread(struct cluster_writer *w)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

int cluster_writer_new(const struct cluster_store *store, struct cluster_writer **ret)
{
	struct cluster_writer *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int err;

	if (!w)
		return -ENOMEM;
	w->store = *store;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = start_thread(w);
	if (err < 0) {
		pthread_cond_destroy(&w->changed);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return err;
	}
	*ret = w;
	return 0;
}

static void hand_over(struct cluster_writer *w, enum job job)
{
	pthread_mutex_lock(&w->lock);
	assert(w->job == JOB_NONE);
	w->job = job;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void cluster_writer_free(struct cluster_writer *w)
{
	if (!w)
		return;
	hand_over(w, JOB_END);
	pthread_join(w->thread, NULL);
	cluster_store_close(&w->store);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static struct timespec later(uint32_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

int cluster_writer_save(struct cluster_writer *w, const struct node_durable *durable,
			uint32_t every_ms, void (*waiting)(void *ctx), void *ctx)
{
	struct timespec until = later(every_ms);
	int result;

	w->durable = *durable;
	hand_over(w, JOB_SAVE);
	pthread_mutex_lock(&w->lock);
	while (w->job != JOB_DONE) {
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&w->lock);
		waiting(ctx);
		until = later(every_ms);
		pthread_mutex_lock(&w->lock);
	}
	result = w->result;
	w->job = JOB_NONE;
	pthread_mutex_unlock(&w->lock);
	return result;
}
