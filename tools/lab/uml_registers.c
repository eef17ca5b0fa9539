/* Lets user-mode-linux of Debian 12 run on processors with AMX; loaded by LD_PRELOAD.
 *
 * It keeps a task's extended registers in a buffer of a fixed size, smaller than those of such a
 * processor, and hands the kernel what the buffer holds.  PTRACE_SETREGSET takes a whole set only
 * (ptrace(2)): fill it up with zeros, and say in XSTATE_BV (Intel SDM vol. 1, 13.4.2) that what
 * the buffer does not hold is in its initial state.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEKTEXT = 1, PEEKDATA = 2, PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205 };
enum { XSTATE_BV = 512, WITHIN_BUFFER = 0xffff };

static unsigned char whole[65536] __attribute__((aligned(64)));
static size_t whole_size;

static long call(long request, long pid, void *address, void *data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

/* How large the set of this processor is; the kernel is asked once. */
static size_t size_of_set(long pid)
{
	struct iovec all = { whole, sizeof whole };

	if (!whole_size && call(GETREGSET, pid, (void *)NT_X86_XSTATE, &all) == 0)
		whole_size = all.iov_len;
	return whole_size;
}

static long set_registers(long pid, struct iovec *given)
{
	struct iovec all = { whole, size_of_set(pid) };
	unsigned long held;

	if (given->iov_len >= all.iov_len)
		return call(SETREGSET, pid, (void *)NT_X86_XSTATE, given);
	memset(whole, 0, all.iov_len);
	memcpy(whole, given->iov_base, given->iov_len);
	memcpy(&held, whole + XSTATE_BV, sizeof held);
	held &= WITHIN_BUFFER;
	memcpy(whole + XSTATE_BV, &held, sizeof held);
	return call(SETREGSET, pid, (void *)NT_X86_XSTATE, &all);
}

long ptrace(int request, ...)
{
	va_list rest;
	va_start(rest, request);
	long pid = va_arg(rest, int);
	void *address = va_arg(rest, void *);
	void *data = va_arg(rest, void *);
	va_end(rest);

	if (request == SETREGSET && address == (void *)NT_X86_XSTATE)
		return set_registers(pid, data);
	if (request == PEEKTEXT || request == PEEKDATA || request == PEEKUSER) {
		/* The C library gives back the word; the system call stores it. */
		long word, failed = call(request, pid, address, &word);
		if (failed)
			return -1;
		errno = 0;
		return word;
	}
	return call(request, pid, address, data);
}
