// SPDX-License-Identifier: GPL-2.0-only
/*
 * Document 004's listener, inside the kernel: a thread that creates, binds and listens, sleeps until its accept queue has a
 * connection or it is told to stop, accepts, and releases what it has accepted.
 *
 * It differs from the document's where that one is wrong, or would be today:
 *
 * - It listens in the network of whoever loads it, and holds that network: a kernel's socket doesn't.
 * - Loading returns once the thread listens or has failed to, so that nobody has to guess when that is.
 * - The thread is held until it is stopped: one that has ended by itself would otherwise be gone by then.
 * - It accepts without waiting: a connection that is in the queue when it looks may not be when it accepts.
 *
 * Unlike the document's it doesn't log each connection, but counts them, and can be made slow or idle.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/wait.h>
#include <net/inet_connection_sock.h>
#include <net/net_namespace.h>
#include <net/sock.h>

static char *address = "0.0.0.0";
module_param(address, charp, 0444);
MODULE_PARM_DESC(address, "IPv4 or IPv6 address to listen on");

static ushort port = 8888;
module_param(port, ushort, 0444);
MODULE_PARM_DESC(port, "port to listen on");

static int backlog = 1024;
module_param(backlog, int, 0444);
MODULE_PARM_DESC(backlog, "how many connections may wait, less one");

static bool accepting = true;
module_param(accepting, bool, 0444);
MODULE_PARM_DESC(accepting, "whether to accept at all");

static uint delay_ms;
module_param(delay_ms, uint, 0444);
MODULE_PARM_DESC(delay_ms, "how long to let each connection wait before it is accepted");

static int refuse(const char *value, const struct kernel_param *parameter)
{
	return -EPERM;
}

static const struct kernel_param_ops told_number = { .set = refuse, .get = param_get_int };
static const struct kernel_param_ops told_word = { .set = refuse, .get = param_get_charp };

static int thread;
module_param_cb(thread, &told_number, &thread, 0444);
MODULE_PARM_DESC(thread, "tells the id of the thread");

static int accepted;
module_param_cb(accepted, &told_number, &accepted, 0444);
MODULE_PARM_DESC(accepted, "tells how many connections it has accepted");

static char *failed = "";
module_param_cb(failed, &told_word, &failed, 0444);
MODULE_PARM_DESC(failed, "tells which step has failed: create, bind, listen, accept, or none");

static int error;
module_param_cb(error, &told_number, &error, 0444);
MODULE_PARM_DESC(error, "tells the errno of the step that has failed, or 0");

static struct net *network;
static struct sockaddr_storage where;
static struct task_struct *task;
static DECLARE_COMPLETION(begun);

/* Note and log what a step came to; returns whether it is the end. */
static bool fails(char *step, int result)
{
	if (result >= 0)
		return false;
	failed = step;
	WRITE_ONCE(error, -result);
	pr_err("%s failed: %d\n", step, result);
	return true;
}

static struct socket *open_listener(void)
{
	struct socket *sock;
	int size = where.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (fails("create", sock_create_kern(network, where.ss_family, SOCK_STREAM, IPPROTO_TCP, &sock)))
		return NULL;
	sock_set_reuseaddr(sock->sk);
	/* The address is a struct sockaddr to some kernels, and a struct sockaddr_unsized to others. */
	if (fails("bind", kernel_bind(sock, (void *)&where, size)) || fails("listen", kernel_listen(sock, backlog))) {
		sock_release(sock);
		return NULL;
	}
	return sock;
}

static void serve(struct socket *sock)
{
	struct request_sock_queue *queue = &inet_csk(sock->sk)->icsk_accept_queue;
	wait_queue_head_t *sleep = sk_sleep(sock->sk);
	struct socket *connection;
	int result;

	while (!kthread_should_stop()) {
		wait_event_interruptible(*sleep, (accepting && !reqsk_queue_empty(queue)) || kthread_should_stop());
		if (delay_ms)
			wait_event_interruptible_timeout(*sleep, kthread_should_stop(), msecs_to_jiffies(delay_ms));
		if (kthread_should_stop())
			break;
		result = kernel_accept(sock, &connection, O_NONBLOCK);
		if (result == -EAGAIN)
			continue;
		if (fails("accept", result))
			break;
		pr_debug("accepted a connection\n");
		WRITE_ONCE(accepted, accepted + 1); /* before anybody sees the end of it */
		sock_release(connection);
	}
}

static int listener(void *unused)
{
	struct socket *sock = open_listener();

	complete(&begun);
	if (sock) {
		serve(sock);
		sock_release(sock);
	}
	return 0;
}

static int __init sockwake_listener_init(void)
{
	char text[sizeof("65535")];
	int result;

	network = get_net(current->nsproxy->net_ns);
	snprintf(text, sizeof(text), "%hu", port);
	result = inet_pton_with_scope(network, AF_UNSPEC, address, text, &where);
	if (result) {
		pr_err("%s isn't an address\n", address);
		goto out;
	}
	task = kthread_create(listener, NULL, "sockwake_listen");
	if (IS_ERR(task)) {
		result = PTR_ERR(task);
		pr_err("no thread: %d\n", result);
		goto out;
	}
	get_task_struct(task);
	thread = task_pid_nr(task);
	wake_up_process(task);
	wait_for_completion(&begun);
	return 0;
out:
	put_net(network);
	return result;
}

static void __exit sockwake_listener_exit(void)
{
	kthread_stop(task);
	put_task_struct(task);
	put_net(network);
}

module_init(sockwake_listener_init);
module_exit(sockwake_listener_exit);
MODULE_DESCRIPTION("A listener inside the kernel, for sockwake's conformance suites");
MODULE_LICENSE("GPL");
