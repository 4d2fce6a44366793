.code16
.globl _start
_start:
 cli
 xorw %ax,%ax
 movw %ax,%ds
 movw %ax,%es
 movw %ax,%ss
 movw $0x7c00,%sp
 # page tables at 0x1000: one 2 MiB page, identity
 movw $0x1000,%di
 movw $0x1800,%cx
 cld
 rep stosw
 movl $0x2003,0x1000
 movl $0x3003,0x2000
 movl $0x83,0x3000
 movl %cr4,%eax
 orl $0x620,%eax      # PAE, OSFXSR, OSXMMEXCPT
 movl %eax,%cr4
 movl $0x1000,%eax
 movl %eax,%cr3
 movl $0xc0000080,%ecx
 rdmsr
 orl $0x100,%eax
 wrmsr
 lgdt gdtr
 movl %cr0,%eax
 andl $0xfffffffb,%eax
 orl $0x80000003,%eax
 movl %eax,%cr0
 ljmp $8,$long
.code64
long:
 movl $16,%eax
 movl %eax,%ss
 movl %eax,%ds
 movq $0x7c00,%rsp
 xorl %eax,%eax
 cpuid
 movd %eax,%xmm0
 paddd %xmm0,%xmm0
 # write protect honoured and a reload of the page tables works
 movl $0x3003,0x2000
 movq %cr3,%rax
 movq %rax,%cr3
 # 64 bits wide arithmetic
 movabsq $0x123456789abcdef0,%rax
 rolq $32,%rax
 cmpl $0x12345678,%eax
 jne stop
 leaq text(%rip),%rsi
 movw $0x3f8,%dx
next: lodsb
 testb %al,%al
 jz stop
 outb %al,%dx
 jmp next
stop: hlt
 jmp stop
text: .asciz "boots\n"
.balign 8
gdt: .quad 0, 0x00209a0000000000, 0x0000920000000000
gdtr: .word 23
 .long gdt
.org 510
.byte 0x55,0xaa
