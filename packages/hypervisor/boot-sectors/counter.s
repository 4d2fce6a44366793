.code16
.globl _start
_start:
 cli
 xorw %ax,%ax
 movw %ax,%ds
 movw %ax,%es
 movw %ax,%ss
 movw $0x7c00,%sp
 sti
 ljmp $0,$main
main:
 movw $0x602,%dx      # PM1_EN: power button
 movw $0x100,%ax
 outw %ax,%dx
 xorl %ebp,%ebp       # count
loop:
 # power button pressed?
 movw $0x600,%dx
 inw %dx,%ax
 testb $1,%ah
 jnz off
 # serial input?
 movw $0x3fd,%dx
 inb %dx,%al
 testb $1,%al
 jz notinput
 movw $0x3f8,%dx
 inb %dx,%al
 cmpb $'q',%al
 je off
 cmpb $'r',%al
 je reset
 cmpb $'d',%al
 je last
 pushw %ax
 movb $'>',%al
 call putc
 popw %ax
 call putc
 movb $10,%al
 call putc
notinput:
 # one tick of the BIOS clock at 0x46c
 movw 0x46c,%ax
 cmpw %bx,%ax
 jne tick
 hlt
 jmp loop
tick:
 movw %ax,%bx
 incl %ebp
 # dirty 32 pages above 64 KiB with the count; check that all still hold the last one
 movw $0x2000,%si
 movl %ebp,%ecx
 decl %ecx
dirty:
 movw %si,%es
 cmpl $1,%ebp
 je fresh
 cmpl %es:0,%ecx
 jne bad
fresh:
 movl %ebp,%es:0
 addw $0x100,%si
 cmpw $0x4000,%si
 jne dirty
 # sector 1 of the disk holds the count
 movl %ebp,0x8000
 movw $0x8000,dap+4
 movb $0x43,%ah
 movb $0,%al
 movb $0x80,%dl
 movw $dap,%si
 pushw %bx
 pushl %ebp
 int $0x13
 popl %ebp
 popw %bx
 jc bad
 # print
 movl %ebp,%eax
 call line
 jmp loop
 # first four bytes of a sector in the last 4 KiB of a disk of 16 MiB
last:
 movl $0x7ff8,dap+8
 movw $0x9000,dap+4
 movb $0x42,%ah
 movb $0x80,%dl
 movw $dap,%si
 pushw %bx
 pushl %ebp
 int $0x13
 popl %ebp
 popw %bx
 movl $1,dap+8
 jc bad
 movb $'=',%al
 call putc
 movl 0x9000,%eax
 call line
 jmp loop
line:
 movw $8,%cx
hex:
 roll $4,%eax
 pushl %eax
 andb $15,%al
 addb $'0',%al
 cmpb $'9',%al
 jbe dig
 addb $39,%al
dig:
 call putc
 popl %eax
 loop hex
 movb $10,%al
 call putc
 ret
putc:
 pushw %dx
 pushw %ax
 movw $0x3fd,%dx
w: inb %dx,%al
 testb $0x20,%al
 jz w
 popw %ax
 movw $0x3f8,%dx
 outb %al,%dx
 popw %dx
 ret
bad:
 movb $'!',%al
 call putc
 movb $10,%al
 call putc
stuck: hlt
 jmp stuck
off:
 movw $0x604,%dx
 movw $0x2000,%ax
 outw %ax,%dx
 jmp stuck
reset:
 movw $0xcf9,%dx
 movb $6,%al
 outb %al,%dx
 jmp stuck
.balign 4
dap: .byte 16,0
 .word 1
 .word 0x8000,0
 .long 1,0
.org 510
.byte 0x55,0xaa
